package views_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/a-h/templ"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"twinboard/views"
)

func feedOf(id string) templ.Component {
	return views.FeedPanel(views.FeedProps{ID: id, Label: "What happens", Empty: "Listening"})
}

func TestEditor(t *testing.T) {
	s := newSite(t, raw(`<form id="f" method="post" action="/form" data-guard>`),
		views.Editor(views.EditorProps{ID: "q", Name: "q", Mode: "query", Label: "Query", Value: "SELECT *\nFROM devices\nWHERE x.group = 1", Error: "group is reserved", ErrorLine: 3, ErrorColumn: 9}),
		raw(`<button id="after">Run</button></form>`))
	b := open(t, s.URL)
	b.wait(`document.querySelector('.cm-content')`)
	b.want(`document.getElementById('q').hidden`)
	b.want(`document.querySelector('.cm-mistake').textContent === 'group'`)
	b.want(`document.querySelector('.cm-content').getAttribute('aria-label').startsWith('Query. ')`)
	b.want(`getComputedStyle(document.querySelector('.cm-scroller')).display === 'flex'`) // its styles passed the CSP

	b.do(chromedp.Click(chromedp.CSS("label[for=q]")))
	b.wait(`document.activeElement.matches('.cm-content')`)
	b.do(chromedp.KeyEvent("-- "), chromedp.KeyEvent(kb.Tab))
	b.want(`document.activeElement.matches('.cm-content')`)
	b.wait(`document.getElementById('q').value.includes('-- ')`)
	b.want(`!document.querySelector('.cm-mistake')`) // another text, another judgement
	b.want(`!dispatchEvent(new Event('beforeunload', {cancelable: true}))`)
	b.do(chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Tab))
	b.want(`document.activeElement.id === 'after'`)

	b.run(`document.querySelector('.cm-content').focus()`)
	b.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2))) // Ctrl
	eventually(t, "Ctrl+Enter sends the form", func() bool { return len(s.posted()) == 1 })
	if got := s.posted()[0]; !strings.Contains(got, "--+") {
		t.Errorf("posted %q, want the text of the editor", got)
	}
}

func TestSendFromAnywhere(t *testing.T) {
	s := newSite(t, raw(`<p id="text">Review</p><form method="post" action="/form"><button name="do" value="back">Back</button><button name="do" value="apply" data-default>Apply</button></form>`))
	b := open(t, s.URL)
	b.want(`document.activeElement === document.body`)
	b.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(2))) // Ctrl
	eventually(t, "Ctrl+Enter sends the page's form", func() bool { return len(s.posted()) == 1 })
	if got := s.posted()[0]; got != "do=apply" {
		t.Errorf("posted %q, want do=apply", got)
	}
}

func TestFragmentForm(t *testing.T) {
	form := func(summary, value string) string {
		return summary + `<input id="name" name="name" value="` + value + `"><button id="save">Save</button>`
	}
	s := newSite(t, raw(`<form id="f" method="post" action="/form" hx-post="/form" hx-target="this" hx-swap="innerHTML" data-guard>`+form("", "")+`</form>`))
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		if err := views.ErrorSummary([]views.FieldError{{FieldID: "name", Message: "Too short."}}).Render(r.Context(), w); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, form("", "x"))
	}
	b := open(t, s.URL)
	b.do(chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent("x"), chromedp.KeyEvent(kb.Enter))
	b.wait(`document.activeElement.matches('.error-summary')`)
	b.want(`document.getElementById('name').value === 'x'`)

	s.mu.Lock()
	s.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/done", http.StatusSeeOther) }
	s.mu.Unlock()
	b.do(chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent("yz"), chromedp.KeyEvent(kb.Enter))
	b.wait(`location.pathname === '/done'`)
}

func TestFragmentFormFails(t *testing.T) {
	s := newSite(t, raw(`<form id="f" method="post" action="/form" hx-post="/form" hx-target="this"><input id="name" name="name"><button>Save</button></form>`))
	b := open(t, s.URL)
	send := func() {
		b.do(chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent("x"), chromedp.KeyEvent(kb.Enter))
	}
	s.answer = func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		if err := views.ErrorPage(views.PageProps{Title: "Error"}, views.ErrorProps{What: "The hub has gone."}).Render(r.Context(), w); err != nil {
			t.Error(err)
		}
	}
	send()
	b.wait(`document.querySelector('#flashes .error-notice')?.textContent.includes('The hub has gone.')`)
	b.want(`document.getElementById('name').value === 'x'`)

	s.mu.Lock()
	s.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	s.mu.Unlock()
	send()
	b.wait(`document.querySelector('#flashes .flash')?.textContent.startsWith('Not sent.')`)
	b.want(`document.getElementById('name').value === 'xx'`)
	b.want(`!document.querySelector('[aria-busy]')`)
}

func TestRows(t *testing.T) {
	row := func(n string) string {
		return `<div data-rows-row><input name="key" id="k-` + n + `"><button data-rows-remove name="remove">Remove</button></div>`
	}
	s := newSite(t, raw(`<form id="f" method="post" action="/form" data-guard><div data-rows><div data-rows-list>`+row("1")+`</div><template data-rows-template>`+row("{i}")+`</template><button data-rows-add formnovalidate name="add">Add</button></div></form>`))
	b := open(t, s.URL)
	b.want(`dispatchEvent(new Event('beforeunload', {cancelable: true}))`)
	b.do(chromedp.Click(chromedp.CSS("[data-rows-add]")), chromedp.Click(chromedp.CSS("[data-rows-add]")))
	b.want(`document.querySelectorAll('[data-rows-row]').length === 3`)
	b.want(`new Set([...document.querySelectorAll('[data-rows-row] input')].map(i => i.id)).size === 3`)
	b.want(`document.activeElement === document.querySelector('[data-rows-row]:last-child input')`)
	b.want(`!dispatchEvent(new Event('beforeunload', {cancelable: true}))`)
	b.do(chromedp.Click(chromedp.CSS("[data-rows-remove]")))
	b.want(`document.querySelectorAll('[data-rows-row]').length === 2 && !document.getElementById('k-1')`)
	b.want(`document.activeElement.name === 'key'`)
	if len(s.posted()) > 0 {
		t.Error("rows were sent to the server")
	}
}

func TestSecret(t *testing.T) {
	s := newSite(t, views.SecretField(views.SecretProps{ID: "key", Label: "Primary key", RevealURL: "/secret"}))
	b := open(t, s.URL)
	b.want(`!document.documentElement.outerHTML.includes('c2VjcmV0')`)
	b.do(chromedp.Click(chromedp.CSS("[data-secret-reveal]")))
	b.wait(`document.getElementById('key').value === 'c2VjcmV0'`)
	b.want(`document.querySelector('[data-secret-reveal]').textContent.trim() === 'Hide'`)
	b.do(chromedp.Click(chromedp.CSS("[data-secret-reveal]")))
	b.want(`document.getElementById('key').value.startsWith('••••')`)
}

func TestConfirmDialog(t *testing.T) {
	s := newSite(t, raw(`<a id="open" href="/confirm" data-dialog="del">Delete</a>`),
		views.ConfirmDialog(views.ConfirmProps{ID: "del", Title: "Delete?", Text: "All of it.", Action: "/form", Submit: "Delete pump-07", Danger: true, Word: "pump-07", WordPrompt: "Type pump-07."}))
	b := open(t, s.URL)
	b.do(chromedp.Focus(chromedp.CSS("#open")), chromedp.KeyEvent(kb.Enter))
	b.wait(`document.getElementById('del').open && document.activeElement.name === 'confirm'`)
	b.do(chromedp.KeyEvent("pump-0"), chromedp.Click(chromedp.CSS("#del .button-danger")))
	b.want(`document.querySelector('#del .button-danger').getAttribute('aria-disabled') === 'true'`)
	if len(s.posted()) > 0 {
		t.Fatal("sent without the name")
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	b.wait(`!document.getElementById('del').open && document.activeElement.id === 'open'`)
	b.do(chromedp.KeyEvent(kb.Enter), chromedp.Focus(chromedp.CSS("#del-word")), chromedp.KeyEvent("7"), chromedp.KeyEvent(kb.Enter))
	eventually(t, "the form is sent", func() bool { return len(s.posted()) == 1 })
}

func TestMenus(t *testing.T) {
	s := newSite(t, raw(`<p id="elsewhere">text</p>`))
	b := open(t, s.URL)
	b.do(chromedp.Click(chromedp.CSS("[data-theme-form]"), chromedp.NodeReady), chromedp.Click(chromedp.CSS(".header-end details:first-of-type summary")))
	b.wait(`document.querySelector('details[data-menu][open]')`)
	b.do(chromedp.Click(chromedp.CSS("[data-theme-choice=dark]")))
	b.want(`document.documentElement.dataset.theme === 'dark'`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.want(`!document.querySelector('details[data-menu][open]') && document.activeElement.matches('summary')`)
}

// TestLook switches rows and size without a new page: rows shrink, everything
// grows, and what is secret is out of sight.
func TestLook(t *testing.T) {
	s := newSite(t, raw(`<p id="text">text</p><table class="table-list"><tr><td id="cell">1</td></tr></table>`),
		views.SecretField(views.SecretProps{ID: "key", Label: "Key", RevealURL: "/secret"}))
	b := open(t, s.URL)
	const cell = `document.getElementById('cell').getBoundingClientRect().height`
	const size = `parseFloat(getComputedStyle(document.getElementById('text')).fontSize)`
	const key = `document.getElementById('key').checkVisibility()`
	b.want(cell + ` === 48 && ` + size + ` === 16 && ` + key)
	b.run(`document.querySelector('[data-look=compact]').click()`)
	b.want(cell + ` === 36 && document.cookie.includes('twinboard_rows=compact')`)
	b.run(`document.querySelector('[data-look=compact]').click()`)
	b.want(cell + ` === 48 && !document.cookie.includes('twinboard_rows')`)
	b.press("p")
	b.want(size + ` >= 20 && !` + key + ` && document.querySelector('.secret-presenting').checkVisibility()`)
	b.press("p")
	b.want(size + ` === 16 && ` + key + ` && !document.cookie.includes('twinboard_size')`)
}

func TestWithoutScript(t *testing.T) {
	s := newSite(t, feedOf("lines"), views.CopyButton("Copy", "x"))
	browser, _ := allocator()
	ctx, cancel := chromedp.NewContext(browser)
	defer cancel()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b := &tab{ctx, t}
	b.do(chromedp.Navigate(s.URL))
	b.want(`[...document.querySelectorAll('[data-needs-script]')].every(e => getComputedStyle(e).display === 'none')`)
	b.want(`document.querySelector('noscript a')`)
	b.want(`document.getElementById('live').hidden`)
}

// Nothing scrolls sideways on the smallest screen, in either language, and
// every target can be hit.
func TestSmallestScreen(t *testing.T) {
	s := newSite(t, gallery())
	for _, lang := range []string{"en", "es"} {
		b := open(t, s.URL+"?lang="+lang)
		b.do(chromedp.EmulateViewport(320, 640))
		b.want(`document.documentElement.scrollWidth <= 320`)
		b.want(`[...document.querySelectorAll('button, summary, .button, .rail-item, .tab-row a')].filter(e => e.checkVisibility() && !e.closest('.json')).every(e => e.getBoundingClientRect().height >= 24 && e.getBoundingClientRect().width >= 24)`)
		b.want(`[...document.querySelectorAll('.rail-item span')].every(e => e.scrollWidth <= e.parentElement.clientWidth)`)
	}
}

// TestLargeTextOnPhones: with text of twice the size every place of the navigation
// is whole and can be hit, wherever one is.
func TestLargeTextOnPhones(t *testing.T) {
	active := ""
	s := newSite(t)
	s.props = func(p *views.PageProps) { p.Active = active }
	b := open(t, s.URL)
	for _, active = range []string{"overview", "devices", "query", "changes", "simulator"} {
		for _, lang := range []string{"en", "es"} {
			b.do(chromedp.Navigate(s.URL + "?lang=" + lang))
			b.run(`document.documentElement.style.fontSize = '200%'`)
			for _, width := range []int64{390, 320} {
				b.do(chromedp.EmulateViewport(width, 844))
				b.want(`document.querySelectorAll('.rail-item').length === 5`)
				b.want(`[...document.querySelectorAll('.rail-item')].every(e => { const r = e.getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.width >= 44 && r.height >= 44 })`)
				b.want(`[...document.querySelectorAll('.rail-item[aria-current] > span')].every(e => e.scrollWidth <= e.parentElement.clientWidth)`)
			}
		}
	}
}
