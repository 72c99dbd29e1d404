// Package text speaks to people in their language: it looks messages up in the
// catalogues, chooses plural forms, and writes numbers, sizes and times the way
// English and Spanish readers expect. It holds every word the dashboard shows;
// it never translates what comes from a device, and it knows nothing of HTML.
//
// Catalogues are catalogue/<area>.<language>.json: one object, message id to
// text, or to plural forms ({"one": …, "other": …}). Values stand in the text as
// {{.Name}}; the value named Count chooses the plural form.
package text

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

// Languages lists the languages with a catalogue; the first is the default.
func Languages() []string { return []string{"en", "es"} }

// Name is a language's own name for itself.
func Name(lang string) string {
	if lang == "es" {
		return "Español"
	}
	return "English"
}

// locale is one language, ready to speak.
type locale struct {
	lang      string
	localizer *i18n.Localizer
	group     string // between thousands
	decimal   string
	minGroup  int // digits from which thousands are grouped (CLDR minimumGroupingDigits + 3)
}

type (
	localeKey struct{}
	logKey    struct{}
)

var locales = loadLocales()

// With makes lang ("en" or "es") the language of everything rendered with the
// returned context. An unknown language means the default.
func With(ctx context.Context, lang string) context.Context {
	l, ok := locales[lang]
	if !ok {
		l = locales[Languages()[0]]
	}
	return context.WithValue(ctx, localeKey{}, l)
}

// WithLogger names the logger that hears about missing messages. Without one
// they are only visible on the page.
func WithLogger(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, logKey{}, log)
}

// Lang is the language of ctx, "en" or "es".
func Lang(ctx context.Context) string { return from(ctx).lang }

func from(ctx context.Context) *locale {
	if l, ok := ctx.Value(localeKey{}).(*locale); ok {
		return l
	}
	return locales[Languages()[0]]
}

// T is the message id in the language of ctx. kv are pairs of name and value
// for the places in the text; integers and floats are written in the form of the
// language, everything else as fmt.Sprint writes it. An integer named "Count"
// chooses the plural form.
//
// A message that is missing shows as its id, never as a word of another
// language; a test keeps that from happening.
func T(ctx context.Context, id string, kv ...any) string {
	l := from(ctx)
	data, count := places(ctx, kv)
	message, err := l.localizer.Localize(&i18n.LocalizeConfig{
		MessageID: id, TemplateData: data, PluralCount: count,
	})
	if err != nil {
		if log, ok := ctx.Value(logKey{}).(*slog.Logger); ok && log != nil {
			log.Warn("message missing", "id", id, "lang", l.lang, "error", err)
		}
		return id
	}
	return message
}

// Has reports whether the catalogue holds the message; for ids made from data.
func Has(id string) bool { return known[id] }

// places turns pairs into template data, and finds the count.
func places(ctx context.Context, kv []any) (data map[string]any, count any) {
	data = make(map[string]any, len(kv)/2)
	for i := 0; i+1 < len(kv); i += 2 {
		name := fmt.Sprint(kv[i])
		data[name] = form(ctx, kv[i+1])
		if name == "Count" {
			count = kv[i+1]
		}
	}
	return data, count
}

func form(ctx context.Context, value any) any {
	switch v := value.(type) {
	case int:
		return Number(ctx, v)
	case int64:
		return Number(ctx, v)
	case uint64:
		return Number(ctx, v)
	case float64:
		return Decimal(ctx, v, -1)
	case string:
		return v
	}
	return fmt.Sprint(value)
}

// Match chooses the language of a request: the query's ?lang= if it names one
// of ours, else the cookie, else the best of the Accept-Language header.
func Match(acceptLanguage, cookie, query string) string {
	for _, wish := range []string{query, cookie} {
		for _, lang := range Languages() {
			if strings.EqualFold(wish, lang) {
				return lang
			}
		}
	}
	wishes, _, err := language.ParseAcceptLanguage(acceptLanguage)
	if err != nil {
		return Languages()[0]
	}
	_, i, _ := matcher.Match(wishes...)
	return Languages()[i]
}

var matcher = language.NewMatcher([]language.Tag{language.English, language.Spanish})
