package text_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"twinboard/views/text"
)

func in(lang string) context.Context { return text.With(context.Background(), lang) }

func TestT(t *testing.T) {
	tests := []struct {
		name, lang, want string
		id               string
		kv               []any
	}{
		{"one", "en", "1 minute", "span.minute", []any{"Count", 1}},
		{"many", "en", "12 minutes", "span.minute", []any{"Count", 12}},
		{"one in Spanish", "es", "1 minuto", "span.minute", []any{"Count", 1}},
		{"a million in Spanish", "es", "1.000.000 minutos", "span.minute", []any{"Count", 1000000}},
		{"numbers by language", "es", "12.480 bytes", "size.bytes", []any{"Count", 12480}},
		{"named value", "es", "Referencia 4f1c", "error.reference", []any{"ID", "4f1c"}},
		{"markup stays text", "en", "Reference <b>", "error.reference", []any{"ID", "<b>"}},
		{"template in a value stays text", "en", "Reference {{.ID}}", "error.reference", []any{"ID", "{{.ID}}"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := text.T(in(tt.lang), tt.id, tt.kv...); got != tt.want {
				t.Errorf("T(%s) = %q, want %q", tt.id, got, tt.want)
			}
		})
	}
}

func TestTMissing(t *testing.T) {
	var log bytes.Buffer
	ctx := text.WithLogger(in("es"), slog.New(slog.NewTextHandler(&log, nil)))
	if got := text.T(ctx, "no.such.message"); got != "no.such.message" {
		t.Errorf("a missing message shows %q, want its id", got)
	}
	if !strings.Contains(log.String(), "id=no.such.message") || !strings.Contains(log.String(), "lang=es") {
		t.Errorf("the log says %q, want id and language", log.String())
	}
}

func TestLangDefault(t *testing.T) {
	if got := text.Lang(context.Background()); got != "en" {
		t.Errorf("without With: %q", got)
	}
	if got := text.Lang(in("fr")); got != "en" {
		t.Errorf("unknown language: %q", got)
	}
}

func TestMatch(t *testing.T) {
	tests := []struct{ name, accept, cookie, query, want string }{
		{"nothing", "", "", "", "en"},
		{"header", "es-MX,es;q=0.9,en;q=0.8", "", "", "es"},
		{"header in order", "en-GB,es;q=0.5", "", "", "en"},
		{"header without ours", "fr,de;q=0.5", "", "", "en"},
		{"cookie over header", "es", "en", "", "en"},
		{"query over cookie", "en", "en", "es", "es"},
		{"unknown query", "en", "es", "xx", "es"},
		{"broken header", ";;q=", "", "", "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := text.Match(tt.accept, tt.cookie, tt.query); got != tt.want {
				t.Errorf("Match = %q, want %q", got, tt.want)
			}
		})
	}
}

// The numbers agree with the language's own form in CLDR, as x/text writes it;
// it does not know that Spanish leaves four digits together.
func TestNumber(t *testing.T) {
	for lang, tag := range map[string]language.Tag{"en": language.English, "es": language.Spanish} {
		p := message.NewPrinter(tag)
		for _, n := range []int{0, 7, 999, 12480, 999999, 1234567, 1000000000} {
			if got, want := text.Number(in(lang), n), p.Sprintf("%d", n); got != want {
				t.Errorf("%s: Number(%d) = %q, want %q", lang, n, got, want)
			}
		}
	}
	for lang, want := range map[string]string{"en": "1,240", "es": "1240"} {
		if got := text.Number(in(lang), 1240); got != want {
			t.Errorf("%s: Number(1240) = %q, want %q", lang, got, want)
		}
	}
	if got := text.Number(in("en"), int64(-12480)); got != "−12,480" {
		t.Errorf("negative: %q", got)
	}
}

func TestFormats(t *testing.T) {
	en, es := in("en"), in("es")
	at := time.Date(2026, 11, 22, 14, 5, 2, 0, time.UTC)
	tests := []struct{ name, got, want string }{
		{"decimal", text.Decimal(en, 2.5, -1), "2.5"},
		{"decimal in Spanish", text.Decimal(es, 12480.25, 2), "12.480,25"},
		{"negative decimal", text.Decimal(es, -0.5, 1), "−0,5"},
		{"bytes", text.Size(en, 41), "41 bytes"},
		{"one byte", text.Size(es, 1), "1 byte"},
		{"kilobytes", text.Size(es, 1126), "1,1 KB"},
		{"megabytes", text.Size(en, 3<<20), "3 MB"},
		{"against a limit", text.Bytes(en, 205, 8192), "0.2 / 8 KB"},
		{"hardly anything", text.Bytes(es, 7, 8192), "<\u00a00,1 / 8 KB"},
		{"nothing", text.Bytes(en, 0, 8192), "0 / 8 KB"},
		{"against a limit in Spanish", text.Bytes(es, 33894, 32768), "33,1 / 32 KB"},
		{"span", text.Span(en, 12*time.Minute+40*time.Second), "12 minutes"},
		{"negative span", text.Span(en, -time.Hour), "0 seconds"},
		{"short span", text.SpanShort(es, 3*time.Hour), "3 h"},
		{"ago", text.Ago(es, 12*time.Minute), "hace 12 minutos"},
		{"short ago", text.AgoShort(en, 50*time.Hour), "2 d ago"},
		{"now", text.Ago(es, 4900*time.Millisecond), "ahora mismo"},
		{"no longer now", text.Ago(es, 5*time.Second), "hace 5 segundos"},
		{"now, short", text.AgoShort(en, -time.Second), "just now"},
		{"age", text.Age(en, 12*time.Minute), "12 min"},
		{"age of a moment", text.Age(en, 2*time.Second), "just now"},
		{"lasting", text.Lasting(en, 12*time.Minute), "12 minutes"},
		{"lasting a moment", text.Lasting(en, time.Second), "a moment"},
		{"clock", text.Clock(en, at), "14:05:02"},
		{"short clock", text.ClockShort(en, at), "14:05"},
		{"date", text.Date(en, at), "22 Nov 2026"},
		{"exact", text.Exact(es, at), "22 nov 2026, 14:05:02 UTC"},
		{"when, within a day", text.When(en, at, at.Add(23*time.Hour)), "23 hours ago"},
		{"when, later", text.When(en, at, at.Add(24*time.Hour)), "22 Nov 2026"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

// Pages are rendered at the same time.
func TestTConcurrently(t *testing.T) {
	for _, lang := range text.Languages() {
		for range 8 {
			t.Run(lang, func(t *testing.T) {
				t.Parallel()
				for n := range 200 {
					if got := text.T(in(lang), "span.day", "Count", n); !strings.HasPrefix(got, text.Number(in(lang), n)+" d") {
						t.Errorf("%s: %d days reads %q", lang, n, got)
					}
				}
			})
		}
	}
}

func BenchmarkT(b *testing.B) {
	ctx := in("es")
	for b.Loop() {
		text.T(ctx, "span.minute", "Count", 12)
	}
}

func BenchmarkTPlain(b *testing.B) {
	ctx := in("es")
	for b.Loop() {
		text.T(ctx, "state.in-sync")
	}
}
