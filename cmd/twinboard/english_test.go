package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A page speaks in its texts and in some attributes. What it shows without having
// said it, or says in every language alike, is not its own: values of devices and
// people, code, and parts that name their language.
const (
	named   = "bdi, .value, noscript, script, style, [translate=no], html [lang]"
	foreign = named + ", code, pre, samp, kbd, textarea, .cm-editor"
	// spoken are the attributes, those included from which script and styles take words.
	spoken = `/^(aria-(label|description|roledescription|valuetext)|title|placeholder|alt|data-(label.*|one|many|all|copied|leave|live-.*|feed-.*|copy-failed|form-failed|secret-failed|editor-(completions|json|query)|count-text|error-text))$/`
)

// utterance is a text of a page, and where it stands.
type utterance struct{ Where, Text string }

// englishOnly finds English where Spanish should be: by words that the English
// catalogues use and the Spanish ones never do, which nearly any English has, in
// a catalogue or not; and by whole messages.
type englishOnly struct{ words, messages map[string]bool }

// ordinary are English words that Spanish messages name too, as words of queries,
// in capitals, or of programs.
const ordinary = "and by connection contains device devices disabled enabled ends exists from group in is jobs modules name not number or starts value where with"

var (
	place = regexp.MustCompile(`\{\{\.\w+\}\}|\{\w+\}`)
	// word is a run of letters; with digits it is a number's or a name's.
	word = regexp.MustCompile(`[\p{L}\p{N}]+`)
	// quotes are words of others, and names that are no words of a language.
	quotes = regexp.MustCompile(`«[^»]*»|\[\[.*?\]\]|(?i:plug and play)`)
)

func newEnglishOnly(t *testing.T) englishOnly {
	t.Helper()
	e := englishOnly{words: map[string]bool{}, messages: map[string]bool{}}
	for _, message := range catalogue(t, "en") {
		e.messages[message] = true
		for _, w := range word.FindAllString(place.ReplaceAllString(message, " "), -1) {
			e.words[strings.ToLower(w)] = true
		}
	}
	for _, message := range catalogue(t, "es") {
		delete(e.messages, message)
		for _, w := range word.FindAllString(place.ReplaceAllString(message, " "), -1) {
			delete(e.words, strings.ToLower(w))
		}
	}
	for w := range strings.FieldsSeq(ordinary) {
		e.words[w] = true
	}
	return e
}

// catalogue is every message of a language in each of its forms, but for those of
// the command line, which name many options and are on no page.
func catalogue(t *testing.T, lang string) (messages []string) {
	t.Helper()
	files, err := filepath.Glob("../../views/text/catalogue/*." + lang + ".json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no catalogues of %s: %v", lang, err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "cli.") {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var entries map[string]any
		if err := json.Unmarshal(content, &entries); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, entry := range entries {
			switch entry := entry.(type) {
			case string:
				messages = append(messages, entry)
			case map[string]any:
				for _, form := range entry {
					messages = append(messages, form.(string))
				}
			}
		}
	}
	return messages
}

// in names the texts that are English, and why.
func (e englishOnly) in(said []utterance) (found []string) {
	for _, u := range said {
		var why []string
		if e.messages[u.Text] {
			why = append(why, "the whole message")
		}
		for _, w := range word.FindAllString(quotes.ReplaceAllString(u.Text, " "), -1) {
			keyword := len(w) > 1 && w == strings.ToUpper(w)
			if e.words[strings.ToLower(w)] && !keyword {
				why = append(why, w)
			}
		}
		if len(why) > 0 {
			found = append(found, u.Where+": "+u.Text+" ("+strings.Join(why, ", ")+")")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// TestEnglishOnly tells English from Spanish, whether it is of the catalogues or
// not.
func TestEnglishOnly(t *testing.T) {
	e := newEnglishOnly(t)
	if len(e.words) < 500 || len(e.messages) < 500 {
		t.Errorf("only %d words and %d messages tell English from Spanish", len(e.words), len(e.messages))
	}
	for text, want := range map[string]bool{
		"No devices yet.": true, "Remove": true, "Status": true, "Twin of pump-07": true, "and": true, "Not in any file": true,
		"Aún no hay dispositivos.": false, "Quitar": false, "pump-07": false, "": false, "JSON": false,
		"Referencia JhE1XDbFc3uP": false, "«devices» es una palabra reservada.": false, "NOT IN": false,
	} {
		if got := e.in([]utterance{{"p", text}}); (len(got) > 0) != want {
			t.Errorf("%q: %v, English: want %v", text, got, want)
		}
	}
}
