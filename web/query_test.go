package web

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub/query"
	"twinboard/views/text"
)

func queryURL(q string, more ...string) string {
	v := url.Values{"q": {q}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return "/h/local/query?" + v.Encode()
}

func (p *page) texts(selector string) []string {
	var out []string
	for _, n := range p.all(selector) {
		out = append(out, strings.Join(wordsOf(n), " "))
	}
	return out
}

func editorText(t *testing.T, p *page) string {
	t.Helper()
	return p.form("#query-form").Get("q")
}

func TestQueryShowsTwins(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{"location":{"plant":"Redmond43","region":"US"},"a":1,"b":2}`, `{"power_level":1}`)
	b.device("O'Neil", `{"location":{"plant":"Redmond44"}}`, `{}`)
	p := b.get(queryURL("SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'")).wantStatus(http.StatusOK)
	p.want("#query-lead", "1 device.")
	p.want("title", "Query · 1 device — Twinboard")
	if got := p.href("[data-testid=query-row] a"); got != "/h/local/devices/pump-1" {
		t.Errorf("the row leads to %s", got)
	}
	p.wantPart("[data-testid=query-row]", "location.plant Redmond43")
	p.wantPart("[data-testid=query-row]", "+1 more")
	p.wantPart("[data-testid=query-row]", "Waiting for device")
	p.wantPart("[data-testid=query-when]", "Answered at")
	if got := editorText(t, p); !strings.Contains(got, "Redmond43") {
		t.Errorf("the editor holds %q", got)
	}
	found := b.get(queryURL("SELECT * FROM devices WHERE deviceId = 'O\\'Neil'")).wantStatus(http.StatusOK)
	if got := found.href("[data-testid=query-row] a"); got != "/h/local/devices/O%27Neil" {
		t.Errorf("the row leads to %s", got)
	}
}

func TestQueryShowsAcknowledgementsInOneValue(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{}`, `{"power_level":1}`)
	report, end := b.connect("pump-1")
	report(`{"connectivity":"wifi","power_level":{"ac":202,"av":2,"value":1}}`)
	end()
	p := b.get(queryURL("SELECT * FROM devices")).wantStatus(http.StatusOK)
	p.wantPart("[data-testid=query-row]", "connectivity wifi power_level 1 (202)")
}

func TestQueryShowsRows(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{"site":"oslo","n":3}`, `{}`)
	b.device("pump-2", `{"site":"lima","deep":{"x":[1,2]}}`, `{}`)
	p := b.get(queryURL("SELECT deviceId, tags.n, tags.deep FROM devices")).wantStatus(http.StatusOK)
	p.want("#query-lead", "2 rows.")
	if got := p.texts("th"); !slices.Equal(got, []string{"deviceId", "n", "deep"}) && !slices.Equal(got, []string{"deviceId", "deep", "n"}) {
		t.Errorf("columns %q", got)
	}
	p.wantPart("[data-testid=query-result]", `{"x":[1,2]}`)
	p.wantPart("[data-testid=query-result]", "not there")
	if got := len(p.all("th.number")); got != 1 {
		t.Errorf("%d columns of numbers, want n alone", got)
	}
	asJSON := b.get(queryURL("SELECT deviceId, tags.n FROM devices WHERE tags.site = 'oslo'", "as", "json")).wantStatus(http.StatusOK)
	asJSON.want("#query-json", `[ { "deviceId": "pump-1", "n": 3 } ]`)
}

func TestQueryFindsNothing(t *testing.T) {
	b := newBoard(t)
	p := b.get(queryURL("SELECT * FROM devices WHERE tags.site = 'nowhere'", "lang", "es")).wantStatus(http.StatusOK)
	p.want("#query-lead", "0 dispositivos.")
	p.want("[data-testid=query-empty]", "Nada de este centro cumple la consulta.")
	if len(p.all("[data-testid=error]")) > 0 {
		t.Error("an empty answer is shown as an error")
	}
}

func TestQueryPages(t *testing.T) {
	b := newBoard(t)
	for i := range 60 {
		b.device(fmt.Sprintf("d-%02d", i), `{}`, `{}`)
	}
	all := map[string]bool{}
	p := b.get(queryURL("SELECT deviceId FROM devices")).wantStatus(http.StatusOK)
	p.want("#query-lead", "More than 25 rows.")
	for _, want := range []struct {
		rows        int
		text, title string
	}{
		{25, "1 to 25, more follow", "Query · More than 25 rows — Twinboard"},
		{25, "26 to 50, more follow", "Query · More than 50 rows — Twinboard"},
		{10, "51 to 60 of 60", "Query · 60 rows — Twinboard"},
	} {
		p.want("[data-testid=query-range]", want.text)
		p.want("title", want.title)
		if got := len(p.all("[data-testid=query-row]")); got != want.rows {
			t.Errorf("%s: %d rows, want %d", p.path, got, want.rows)
		}
		for _, id := range p.texts("[data-testid=query-row]") {
			all[id] = true
		}
		if next := p.all("[data-testid=query-next]"); len(next) == 1 {
			p = b.get(attr(next[0], "href")).wantStatus(http.StatusOK)
		}
	}
	if len(all) != 60 {
		t.Errorf("the pages hold %d different devices, want 60", len(all))
	}
	back := b.get(p.href("[data-testid=query-first]")).wantStatus(http.StatusOK)
	back.want("[data-testid=query-range]", "1 to 25, more follow")
	wide := b.get(queryURL("SELECT deviceId FROM devices", "size", "100")).wantStatus(http.StatusOK)
	wide.want("#query-lead", "60 rows.")
}

func TestQueryContinuationOfAnotherText(t *testing.T) {
	b := newBoard(t)
	for i := range 30 {
		b.device(fmt.Sprintf("d-%02d", i), `{}`, `{}`)
	}
	p := b.get(queryURL("SELECT deviceId FROM devices")).wantStatus(http.StatusOK)
	next, err := url.Parse(p.href("[data-testid=query-next]"))
	if err != nil {
		t.Fatal(err)
	}
	other := b.get(queryURL("SELECT status FROM devices", "after", next.Query().Get("after")))
	if other.status < 400 || other.status >= 500 {
		t.Fatalf("status %d, want a refusal", other.status)
	}
	if got := editorText(t, other); got != "SELECT status FROM devices" {
		t.Errorf("the editor holds %q", got)
	}
}

func TestQueryMistakes(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{"group":"a"}`, `{}`)
	const wrong = "SELECT *\r\nFROM devices\r\nWHERE tags.group = 'a'"
	const lines = "SELECT *\nFROM devices\nWHERE tags.group = 'a'"
	tests := []struct{ lang, place, hint, repair string }{
		{"en", `Line 3, column 12: "group" is a reserved word here.`, "Write it as [[group]].", "Write [[group]] and run"},
		{"es", `Línea 3, columna 12: «group» es una palabra reservada aquí.`, "Se escribe [[group]].", "Escribir [[group]] y ejecutar"},
	}
	for _, tt := range tests {
		t.Run(tt.lang, func(t *testing.T) {
			p := b.get(queryURL(wrong, "lang", tt.lang, "size", "100")).wantStatus(http.StatusUnprocessableEntity)
			p.want("#q-error", tt.place)
			p.wantPart("[data-testid=query-mistake]", tt.hint)
			p.want("[data-testid=repair]", tt.repair)
			excerpt := p.all(".query-excerpt code")
			if got := rawText(excerpt[0]); got != "WHERE tags.group = 'a'\n           ^^^^^" {
				t.Errorf("excerpt:\n%s", got)
			}
			area := p.all("textarea[name=q]")[0]
			if attr(area, "data-error-line") != "3" || attr(area, "data-error-column") != "12" || attr(area, "aria-invalid") != "true" {
				t.Errorf("the editor does not mark the mistake: %v", area.Attr)
			}
			if got := editorText(t, p); got != lines {
				t.Errorf("the editor holds %q", got)
			}
			mended := b.get(p.href("[data-testid=repair]")).wantStatus(http.StatusOK)
			mended.wantPart("#query-lead", "1 d")
			if got := editorText(t, mended); got != strings.Replace(lines, "group", "[[group]]", 1) {
				t.Errorf("the repaired query is %q", got)
			}
			if !strings.Contains(mended.path, "size=100") {
				t.Errorf("the repair forgets the page size: %s", mended.path)
			}
		})
	}
}

// rawText is the text of an element with its spaces, and line ends for <br>.
func rawText(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	if n.Data == "br" {
		return "\n"
	}
	var b strings.Builder
	for c := range n.ChildNodes() {
		b.WriteString(rawText(c))
	}
	return b.String()
}

func TestQueryWhileTheHubIsDown(t *testing.T) {
	b := newBoard(t)
	b.stopHub()
	const q = "SELECT * FROM devices WHERE tags.site = 'oslo'"
	for lang, want := range map[string]string{"en": "the hub that Twinboard runs itself has stopped", "es": "ha dejado de funcionar"} {
		p := b.get(queryURL(q, "lang", lang)).wantStatus(http.StatusBadGateway)
		if got := editorText(t, p); got != q {
			t.Errorf("%s: the editor holds %q", lang, got)
		}
		if len(p.all("[data-testid=error]")) != 1 {
			t.Errorf("%s: no error where the answer would be", lang)
		}
		if lang == "en" {
			p.wantPart("[data-testid=error]", want)
		}
		if got := p.href("[data-testid=error] .button-primary"); got != queryURL(q) {
			t.Errorf("%s: trying again leads to %s", lang, got)
		}
	}
}

// No hub of ours throttles unless told to, so this one is a hub's answer only.
func TestQueryThrottled(t *testing.T) {
	b := newBoard(t)
	hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(iothub.ErrThrottling.ServiceBody("")) // the client would notice
	}))
	t.Cleanup(hub.Close)
	client, err := hubclient.New(iothub.ServiceConnectionString{
		HostName:            strings.TrimPrefix(hub.URL, "https://"),
		SharedAccessKeyName: "service", SharedAccessKey: "c2VjcmV0",
	}, &hubclient.Options{HTTPClient: hub.Client()})
	if err != nil {
		t.Fatal(err)
	}
	b.server.hubs[0].Client = client
	began := time.Now()
	p := b.get(queryURL("SELECT * FROM devices")).wantStatus(http.StatusTooManyRequests)
	p.wantPart("[data-testid=error]", "asks to slow down")
	if got := editorText(t, p); got != "SELECT * FROM devices" {
		t.Errorf("the editor holds %q", got)
	}
	for _, path := range []string{"", "?view=json", "?view=identity", "?view=modules", "/edit/tags"} {
		b.get("/h/local/devices/d1"+path).wantStatus(http.StatusTooManyRequests).wantPart("[data-testid=error]", "asks to slow down")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the page waited %s for a throttled hub", took)
	}
}

func TestQueryOfModules(t *testing.T) {
	b := newBoard(t)
	b.device("pump-07", `{}`, `{}`)
	b.module("pump-07", "cam")
	p := b.get(queryURL("SELECT * FROM devices.modules")).wantStatus(http.StatusOK)
	p.wantPart("main", "1 module.")
	if got := p.texts("[data-testid=query-row]"); len(got) != 1 || !strings.Contains(got[0], "pump-07 / cam") {
		t.Errorf("rows %q", got)
	}
	if got := p.href("[data-testid=query-row] a"); got != pump+"/modules/cam" {
		t.Errorf("it leads to %s", got)
	}
	_, body := b.body(http.MethodGet, queryURL("SELECT * FROM devices.modules")+"&format=csv", nil)
	if !strings.Contains(body, "moduleId") || !strings.Contains(body, "cam") {
		t.Errorf("as CSV: %s", body)
	}
}

func TestQueryExamples(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{"location":{"plant":"Redmond43"},"in":"x"}`, `{}`)
	b.device("pump-2", `{"location":{"plant":"Redmond43"}}`, `{}`)
	b.known(2)
	p := b.get("/h/local/query").wantStatus(http.StatusOK)
	if got := p.texts("[data-testid=query-example]"); len(got) != 3 || !strings.Contains(got[1], "Devices tagged Redmond43 2 devices") {
		t.Errorf("examples %q", got)
	}
	for _, n := range p.all("[data-testid=query-example]") {
		b.get(attr(n, "href")).wantStatus(http.StatusOK)
	}
	words := attr(p.all("textarea[name=q]")[0], "data-words")
	if got := strings.Fields(words); !slices.Equal(got, []string{"tags.location.plant", "tags.[[in]]"}) {
		t.Errorf("completions %q", got)
	}
}

func TestQueryAsData(t *testing.T) {
	b := newBoard(t)
	b.device("pump-1", `{"site":"oslo","note":"a,\"b\""}`, `{"n":1}`)
	data := b.get(queryURL("SELECT deviceId, tags.site FROM devices", "format", "json")).wantStatus(http.StatusOK)
	var got struct {
		Query, Type, Next string
		Rows              []map[string]any
	}
	if err := json.Unmarshal([]byte(data.body), &got); err != nil {
		t.Fatal(err, data.body)
	}
	if got.Type != "Raw" || len(got.Rows) != 1 || got.Rows[0]["site"] != "oslo" {
		t.Errorf("data %+v", got)
	}
	file := b.get(queryURL("SELECT * FROM devices", "format", "csv")).wantStatus(http.StatusOK)
	lines, err := csv.NewReader(strings.NewReader(file.body)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return lines[1][slices.Index(lines[0], name)] }
	if len(lines) != 2 || at("deviceId") != "pump-1" || at("tags.note") != `a,"b"` || at("properties.desired.n") != "1" {
		t.Errorf("CSV %q", lines)
	}
	wrong := b.get(queryURL("SELEC", "format", "json")).wantStatus(http.StatusUnprocessableEntity)
	if !strings.Contains(wrong.body, `"line": 1`) || !strings.Contains(wrong.body, `"code"`) {
		t.Errorf("a mistake as data: %s", wrong.body)
	}
}

func TestQueryCommandsHoldNoSecret(t *testing.T) {
	b := newBoard(t)
	cs, err := b.hub.ConnectionString("iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	p := b.get(queryURL("SELECT * FROM devices WHERE tags.a = 'x'"))
	if strings.Contains(p.body, cs.SharedAccessKey) {
		t.Error("the page holds the key")
	}
	for _, n := range p.all("[data-copy]") {
		if c := attr(n, "data-copy"); !strings.Contains(c, "tags.a") {
			t.Errorf("the copy %q does not hold the query", c)
		}
	}
}

// Every problem that a hub of ours can name has words in both languages; the
// English ones are the hub's own.
func TestQueryErrorsAreTranslated(t *testing.T) {
	place := regexp.MustCompile(`\{(\w)(\w*)\}`)
	for _, code := range query.Codes() {
		m := query.English(code)
		args := map[string]string{}
		for _, names := range place.FindAllStringSubmatch(m.Text+m.Hint, -1) {
			args[names[1]+names[2]] = "x"
		}
		for _, lang := range text.Languages() {
			ctx := text.With(t.Context(), lang)
			message, hint := queryMessage(ctx, &hubclient.QueryError{Code: string(code), Args: args, Message: "untranslated"})
			if message == "untranslated" || (hint == "") != (m.Hint == "") || strings.Contains(message+hint, "<no value>") {
				t.Errorf("%s in %s: %q, %q", code, lang, message, hint)
			}
			fill := func(s string) string {
				return place.ReplaceAllStringFunc(s, func(found string) string {
					if found == "{found}" {
						return `"x"`
					}
					return "x"
				})
			}
			if lang == "en" && (message != capitalised(fill(m.Text)) || hint != fill(m.Hint)) {
				t.Errorf("%s in English: %q, %q, the hub says %q, %q", code, message, hint, m.Text, m.Hint)
			}
		}
	}
}

func TestQueryMessageOfAnUnknownCode(t *testing.T) {
	message, hint := queryMessage(t.Context(), &hubclient.QueryError{Code: "from-the-future", Message: "Something new.", Hint: "Try."})
	if message != "Something new." || hint != "Try." {
		t.Errorf("%q, %q", message, hint)
	}
}

func TestQueryEndOfText(t *testing.T) {
	e := &hubclient.QueryError{Code: "expected-clause", Args: map[string]string{"found": ""}}
	for lang, want := range map[string]string{
		"en": "Expected WHERE, GROUP BY or the end of the query, found the end of the query.",
		"es": "Se esperaba WHERE, GROUP BY o el final de la consulta, y hay el final de la consulta.",
	} {
		if got, _ := queryMessage(text.With(t.Context(), lang), e); got != want {
			t.Errorf("%s: %q", lang, got)
		}
	}
}

// The words that get brackets are exactly those a hub would misread.
func TestQuerySpelling(t *testing.T) {
	names := append(slices.Clone(queryWords), "plant", "Group", "a-b", "1st", "ñ", "from2", "order", "like", "value", "_x", "is", "desc")
	for _, name := range names {
		if _, err := query.Parse("SELECT * FROM devices WHERE tags." + querySpelling(name) + " = 1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, word := range queryWords {
		if _, err := query.Parse("SELECT * FROM devices WHERE tags." + word + " = 1"); err == nil {
			t.Errorf("%s needs no brackets", word)
		}
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("x", 100) + "HERE" + strings.Repeat("y", 100)
	tests := []struct {
		name, query          string
		line, column, length int
		shown, marker        string
	}{
		{"one line", "SELECT a", 1, 8, 1, "SELECT a", "       ^"},
		{"the end", "SELECT", 1, 7, 1, "SELECT", "      ^"},
		{"empty", "", 1, 1, 1, "", "^"},
		{"tabs", "a\n\tb", 2, 2, 1, "\tb", "\t^"},
		{"characters, not bytes", "ñandú x", 1, 7, 1, "ñandú x", "      ^"},
		{"outside", "a", 9, 9, 9, "a", " ^"},
		{"long", long, 1, 101, 4, "…" + long[64:136] + "…", strings.Repeat(" ", 37) + "^^^^"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			shown, marker := excerpt(tt.query, tt.line, tt.column, tt.length)
			if shown != tt.shown || marker != tt.marker {
				t.Errorf("got\n%s\n%s\nwant\n%s\n%s", shown, marker, tt.shown, tt.marker)
			}
		})
	}
}

func TestRepaired(t *testing.T) {
	tests := []struct {
		query  string
		repair *hubclient.QueryRepair
		want   string
		ok     bool
	}{
		{"a group b", &hubclient.QueryRepair{Start: 2, End: 7, Text: "[[group]]"}, "a [[group]] b", true},
		{"a;", &hubclient.QueryRepair{Start: 1, End: 2}, "a", true},
		{"a", nil, "", false},
		{"a", &hubclient.QueryRepair{Start: 0, End: 5}, "", false},
		{"a", &hubclient.QueryRepair{Start: 1, End: 0}, "", false},
		{"ñ", &hubclient.QueryRepair{Start: 1, End: 2}, "", false},
	}
	for _, tt := range tests {
		if got, ok := repaired(tt.query, tt.repair); ok != tt.ok || ok && got != tt.want {
			t.Errorf("%q with %+v is %q, %v", tt.query, tt.repair, got, ok)
		}
	}
}
