package text

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed catalogue/*.json
var files embed.FS

// known holds the ids of all messages.
var known = map[string]bool{}

// entry is one message of a catalogue file: a text, or plural forms.
type entry struct {
	One   string `json:"one"`
	Many  string `json:"many"`
	Other string `json:"other"`
}

// UnmarshalJSON reads "text" as {"other": "text"}.
func (e *entry) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &e.Other) == nil {
		return nil
	}
	type plain entry
	return json.Unmarshal(data, (*plain)(e))
}

// readCatalogue reads one file, and says which language it is in.
func readCatalogue(name string) (lang string, messages map[string]entry, err error) {
	data, err := files.ReadFile("catalogue/" + name)
	if err != nil {
		return "", nil, fmt.Errorf("catalogue %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &messages); err != nil {
		return "", nil, fmt.Errorf("catalogue %s: %w", name, err)
	}
	return path.Ext(strings.TrimSuffix(name, ".json"))[1:], messages, nil
}

// loadLocales reads the embedded catalogues. They are part of the program: a
// mistake in them cannot be handled at run time, so it ends the program, and
// every test, at once.
func loadLocales() map[string]*locale {
	list, err := files.ReadDir("catalogue")
	if err != nil {
		panic(err)
	}
	bundle := i18n.NewBundle(language.English)
	for _, file := range list {
		lang, messages, err := readCatalogue(file.Name())
		if err != nil {
			panic(err)
		}
		for id, m := range messages {
			known[id] = true
			if m.Many == "" {
				m.Many = m.Other // Spanish has the form for 1,000,000; ours never differs
			}
			if m.One == "" {
				m.One = m.Other
			}
			message := &i18n.Message{ID: id, One: m.One, Many: m.Many, Other: m.Other}
			if err := bundle.AddMessages(language.Make(lang), message); err != nil {
				panic(fmt.Errorf("catalogue %s, %s: %w", file.Name(), id, err))
			}
		}
	}
	return map[string]*locale{
		"en": {lang: "en", localizer: i18n.NewLocalizer(bundle, "en"), group: ",", decimal: ".", minGroup: 4},
		"es": {lang: "es", localizer: i18n.NewLocalizer(bundle, "es"), group: ".", decimal: ",", minGroup: 5},
	}
}
