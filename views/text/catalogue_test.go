package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// catalogues reads every file, by area and language.
func catalogues(t *testing.T) map[string]map[string]map[string]entry {
	t.Helper()
	list, err := files.ReadDir("catalogue")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]map[string]entry{}
	for _, f := range list {
		lang, messages, err := readCatalogue(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		area := strings.TrimSuffix(f.Name(), "."+lang+".json")
		if all[area] == nil {
			all[area] = map[string]map[string]entry{}
		}
		all[area][lang] = messages
	}
	return all
}

var placeholder = regexp.MustCompile(`\{\{\.(\w+)\}\}`)

func placeholders(s string) []string {
	var names []string
	for _, m := range placeholder.FindAllStringSubmatch(s, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestCataloguesAgree(t *testing.T) {
	for area, langs := range catalogues(t) {
		for _, lang := range Languages() {
			if langs[lang] == nil {
				t.Errorf("area %s has no catalogue in %s", area, lang)
			}
		}
		for id, en := range langs["en"] {
			es, ok := langs["es"][id]
			if !ok {
				t.Errorf("%s: %s is missing in es", area, id)
				continue
			}
			compare(t, area+": "+id, en, es)
		}
		for id := range langs["es"] {
			if _, ok := langs["en"][id]; !ok {
				t.Errorf("%s: %s is missing in en", area, id)
			}
		}
	}
}

func compare(t *testing.T, what string, en, es entry) {
	t.Helper()
	if (en.One == "") != (es.One == "") {
		t.Errorf("%s has plural forms in one language only", what)
	}
	if a, b := placeholders(en.Other), placeholders(es.Other); !slices.Equal(a, b) {
		t.Errorf("%s has the places %v in en and %v in es", what, a, b)
	}
	for lang, e := range map[string]entry{"en": en, "es": es} {
		if strings.TrimSpace(e.Other) == "" {
			t.Errorf("%s is empty in %s", what, lang)
		}
		if e.One != "" && !slices.Contains(placeholders(e.Other), "Count") && e.One == e.Other {
			t.Errorf("%s has plural forms that do not differ in %s", what, lang)
		}
	}
}

// sameInBoth are messages that read alike in English and Spanish, and should.
var sameInBoth = map[string]bool{"size.bytes": true, "learn.name": true, "twin.kind.boolean": true}

// names are no words of a language: they stay as they are.
var names = regexp.MustCompile(`\b(JSON|HTTPS?|MQTT|CSV|KB|MB|SAS|TLS|URL|SDK|IoT|Azure|Hub|hub|LOCAL|min|ms|h|d|s|Esc|az|curl|desired|reported|tags|etag|Wi-Fi|Ethernet|Error|[a-z]{3})\b`)

// A text that is the same in both languages is one nobody has translated.
func TestNothingLeftInEnglish(t *testing.T) {
	letters := regexp.MustCompile(`[a-zA-Z]`)
	for area, langs := range catalogues(t) {
		for id, en := range langs["en"] {
			words := names.ReplaceAllString(placeholder.ReplaceAllString(en.Other, ""), "")
			if en.Other == langs["es"][id].Other && letters.MatchString(words) && !sameInBoth[id] {
				t.Errorf("%s: %s reads %q in both languages", area, id, en.Other)
			}
		}
	}
}

func TestIDsAreUnique(t *testing.T) {
	seen := map[string]string{}
	list, err := files.ReadDir("catalogue")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := files.ReadFile("catalogue/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		lang := filepath.Ext(strings.TrimSuffix(f.Name(), ".json"))
		for _, id := range keys(t, data) {
			if before, twice := seen[id+lang]; twice {
				t.Errorf("%s is in %s and in %s", id, before, f.Name())
			}
			seen[id+lang] = f.Name()
		}
	}
}

// keys lists the top-level keys of an object in order, repeated ones too, which
// a map would hide.
func keys(t *testing.T, data []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for d.More() {
		key, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprint(key))
	}
	return ids
}

var comment = regexp.MustCompile(`(?m)^\s*//.*$`)

// source is everything that may name a message.
func source(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../*.templ", "../*.go", "../../web/*.go", "../../hubclient/*.go", "../../hubclient/iothub/*.go", "../../localhub/*.go", "../../localhub/query/*.go", "../../devicesim/*.go", "../../cmd/twinboard/*.go", "../../localhub/store/*.go", "*.go"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range list {
			if strings.HasSuffix(file, "_templ.go") || strings.HasSuffix(file, "_test.go") {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(comment.ReplaceAll(data, nil))
			all.WriteByte('\n')
		}
	}
	return all.String()
}

// call finds ids in calls: text.T(ctx, "id", T(ctx, "id" within this package,
// Sentence("id".
var call = regexp.MustCompile(`(?:\bT\([^"\n]*?,\s*|\bSentence\()"([a-z0-9]+[a-z0-9.-]*)"\s*[,)]`)

func TestEveryIDInUseExists(t *testing.T) {
	found := call.FindAllStringSubmatch(source(t), -1)
	if len(found) < 50 {
		t.Fatalf("only %d calls found: the pattern no longer fits the code", len(found))
	}
	for _, m := range found {
		if !Has(m[1]) {
			t.Errorf("the message %q is used, and no catalogue has it", m[1])
		}
	}
}

func TestNoIDIsUnused(t *testing.T) {
	code := source(t)
	used := literals(code)
	for id := range known {
		if !used.whole[id] && !used.assembles(id) {
			t.Errorf("the message %q is in the catalogues and nowhere else", id)
		}
	}
}

// vocabulary is what the strings of the code can make an id of.
type vocabulary struct {
	whole    map[string]bool  // each string
	parts    map[string]bool  // the words between their dots
	patterns []*regexp.Regexp // formats: "learn.%d.title"
}

func literals(code string) vocabulary {
	v := vocabulary{whole: map[string]bool{}, parts: map[string]bool{}}
	for _, m := range regexp.MustCompile(`"([a-zA-Z0-9.%-]+)"`).FindAllStringSubmatch(code, -1) {
		v.whole[m[1]] = true
		for p := range strings.SplitSeq(m[1], ".") {
			v.parts[p] = true
		}
		if strings.Contains(m[1], ".") && strings.Contains(m[1], "%") {
			format := regexp.MustCompile(`%\w`).ReplaceAllString(regexp.QuoteMeta(m[1]), `[^.]+`)
			v.patterns = append(v.patterns, regexp.MustCompile("^"+format+"$"))
		}
	}
	return v
}

// assembles reports whether the code may put id together: a format fits it, or
// one of its beginnings is a string of its own ("state." + s) and the words
// that follow, numbers aside, are strings too ("hub-" + kind included).
func (v vocabulary) assembles(id string) bool {
	if slices.ContainsFunc(v.patterns, func(p *regexp.Regexp) bool { return p.MatchString(id) }) {
		return true
	}
	for i := range id {
		if id[i] != '.' || !v.whole[id[:i+1]] {
			continue
		}
		if !slices.ContainsFunc(strings.Split(id[i+1:], "."), func(p string) bool { return !v.word(p) }) {
			return true
		}
	}
	return false
}

func (v vocabulary) word(part string) bool {
	if v.parts[part] || strings.Trim(part, "0123456789") == "" {
		return true
	}
	before, after, found := strings.Cut(part, "-")
	return found && v.whole[before+"-"] && v.parts[after]
}
