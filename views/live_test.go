package views_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const liveNow = `document.getElementById('live').dataset.state === 'on'`

func TestLiveReplacesByID(t *testing.T) {
	s := newSite(t, raw(`<p id="a">old <b data-value="1">1</b></p><p id="b">stays</p>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.run(`window.b = document.getElementById('b')`)
	s.send(2, `<p id="a">new <b data-value="2">2</b></p><p id="b">stays</p><p id="unknown">ignored</p><p>no id</p>`)
	b.wait(`document.getElementById('a').textContent === 'new 2'`)
	b.want(`document.querySelector('#a b').dataset.changed`)
	b.want(`!document.getElementById('unknown')`)
	s.send(3, `<p id="b" data-remove></p>`)
	b.wait(`!document.getElementById('b')`)
}

// Elements of every kind in one event, in any order, with anything in their
// attributes and texts.
func TestLiveTakesAnEventApart(t *testing.T) {
	s := newSite(t, raw(`<p id="a">old</p><table><tbody><tr id="r"><td>old</td></tr></tbody></table><div id="z">old</div>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	s.send(2, `<p id="a" title="a > b </p>">new<br><input value="</p>"> &lt;/p&gt;<svg><path d="M0 0"/></svg></p>
<!-- <p id="c"> -->
<tr id="r"><td>new</td></tr><div id="z"><div>new</div>
</div>`)
	b.wait(`document.querySelector('tr#r td').textContent === 'new'`)
	b.want(`document.getElementById('a').title === 'a > b </p>' && document.getElementById('a').textContent === 'new </p>'`)
	b.want(`document.getElementById('z').firstElementChild.textContent === 'new'`)
}

func TestLiveMergesBursts(t *testing.T) {
	s := newSite(t, raw(`<p id="a">0</p>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.run(`window.repaints = 0; new MutationObserver(() => window.repaints++).observe(document.querySelector('main'), {childList: true, subtree: true})`)
	for i := range 200 {
		s.send(i+2, fmt.Sprintf(`<p id="a">%d</p>`, i+1))
	}
	b.wait(`document.getElementById('a').textContent === '200'`)
	b.want(`window.repaints <= 6`)
}

func TestLiveLeavesTypingAlone(t *testing.T) {
	s := newSite(t, raw(`<form id="f"><input id="name" name="name" value="old"><span id="hint">one</span></form>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.do(chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent("er words"))
	frame := `<form id="f"><input id="name" name="name" value="from the hub"><span id="hint">two</span></form>`
	s.send(2, frame)
	b.wait(`document.querySelector('[data-newer-for=f]')`)
	b.want(`document.getElementById('name').value.includes('er words')`)
	b.want(`document.activeElement.id === 'name'`)
	b.do(chromedp.Blur(chromedp.CSS("#name")))
	s.send(3, frame+`<p id="nothing"></p>`)
	b.want(`document.getElementById('name').value.includes('er words')`)
	b.do(chromedp.Click(chromedp.CSS("[data-newer-for=f] button")))
	b.wait(`document.getElementById('name').value === 'from the hub'`)
	b.want(`!document.querySelector('[data-newer-for]')`)
}

func TestLiveUpdatesAroundTheFocus(t *testing.T) {
	row := func(state string) string {
		return `<div id="row"><a id="link" href="/x">pump-07</a> <span class="cell">` + state + `</span></div>`
	}
	s := newSite(t, raw(row("Waiting")+`<button id="other">other</button>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.do(chromedp.Focus(chromedp.CSS("#link")))
	b.run(`window.link = document.getElementById('link')`)
	s.send(2, row("In sync"))
	b.wait(`document.querySelector('#row .cell').textContent === 'In sync'`)
	b.want(`document.activeElement === window.link`)
	b.want(`!document.querySelector('[data-newer-for]')`)
	b.do(chromedp.Focus(chromedp.CSS("#other")))
	b.wait(`document.getElementById('link') !== window.link`)
}

// TestLiveKeepsClicks: what is pressed stays until it is let go, though it is
// repainted meanwhile; the rest of it is new at once.
func TestLiveKeepsClicks(t *testing.T) {
	row := func(state string) string {
		return `<div id="row"><a href="#clicked"><b id="inside">` + state + `</b></a> <span id="cell">` + state + `</span> <p><label for="box"><i id="label">` + state + `</i></label></p></div>`
	}
	s := newSite(t, raw(row("Waiting")+`<input type="checkbox" id="box">`))
	b := open(t, s.URL)
	b.wait(liveNow)
	for n, click := range []struct{ on, state, clicked string }{
		{"inside", "Applying", `location.hash === '#clicked'`},
		{"label", "Done", `document.getElementById('box').checked`},
	} {
		b.mouse("mousePressed", "#"+click.on)
		s.send(n+2, row(click.state))
		b.wait(`document.getElementById('cell').textContent === '` + click.state + `'`)
		b.want(`document.getElementById('` + click.on + `').textContent !== '` + click.state + `'`)
		b.mouse("mouseReleased", "#"+click.on)
		b.wait(click.clicked)
		b.wait(`document.getElementById('` + click.on + `').textContent === '` + click.state + `'`)
	}
}

func TestLiveLeavesSelectionAlone(t *testing.T) {
	s := newSite(t, raw(`<p id="a">select these words</p>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.run(`getSelection().selectAllChildren(document.getElementById('a'))`)
	s.send(2, `<p id="a">others</p>`)
	s.send(3, `<p id="lead" class="x">x</p>`)
	b.want(`getSelection().toString() === 'select these words'`)
	b.run(`getSelection().removeAllRanges()`)
	b.wait(`document.getElementById('a').textContent === 'others'`)
}

func TestLiveKeepsSectionsAndScroll(t *testing.T) {
	html := func(n int) string {
		return fmt.Sprintf(`<div id="a"><details id="d"><summary>s</summary>%d</details><details data-key-path="/x" open><summary>t</summary>%d</details><div id="box" class="feed-lines">%s</div></div>`, n, n, strings.Repeat("<p>line</p>", 60))
	}
	s := newSite(t, raw(html(1)))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.run(`document.getElementById('d').open = true; document.querySelector('[data-key-path]').open = false; document.getElementById('box').scrollTop = 200`)
	s.send(2, html(2))
	b.wait(`document.getElementById('d').textContent.endsWith('2')`)
	b.want(`document.getElementById('d').open && !document.querySelector('[data-key-path]').open`)
	b.wait(`document.getElementById('box').scrollTop === 200`)
}

func TestLiveClosesWhileHidden(t *testing.T) {
	s := newSite(t, raw(`<p id="a">0</p>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	s.send(7, `<p id="a">7</p>`)
	b.wait(`document.getElementById('a').textContent === '7'`)
	hide := func(hidden bool) {
		b.run(fmt.Sprintf(`Object.defineProperty(document, 'hidden', {value: %v, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))`, hidden))
	}
	hide(true)
	eventually(t, "the stream closes", func() bool { open, closed, _ := s.state(); return open == 0 && closed == 1 })
	hide(false)
	eventually(t, "the stream resumes", func() bool { open, _, _ := s.state(); return open == 1 })
	if _, _, after := s.state(); after[0] != "e-1" || after[1] != "e-7" {
		t.Errorf("the streams began after %q, want e-1 as the page says and e-7", after)
	}
}

func TestLiveReconnects(t *testing.T) {
	s := newSite(t, raw(`<p id="a">0</p>`))
	b := open(t, s.URL+"?lang=es")
	b.wait(liveNow)
	b.want(`document.getElementById('live').textContent === 'En directo'`)
	s.send(5, `<p id="a">5</p>`)
	b.wait(`document.getElementById('a').textContent === '5'`)
	b.run(`window.said = []; new MutationObserver(() => window.said.push(document.getElementById('live').textContent)).observe(document.getElementById('live'), {childList: true})`)
	s.drop()
	b.wait(`window.said.some(x => /^Reconectando \(\d+ s\)$/.test(x))`)
	b.wait(liveNow)
	if _, _, after := s.state(); after[len(after)-1] != "e-5" {
		t.Errorf("reconnected after %q, want e-5", after)
	}
}

// An open stream of a hub that is away is not live.
func TestLiveSaysHowCurrentTheHubIs(t *testing.T) {
	s := newSite(t, raw(`<p id="a">0</p>`))
	b := open(t, s.URL+"?lang=es")
	b.wait(liveNow)
	s.raw("event: hub\ndata: away\n\n")
	b.wait(`document.getElementById('live').dataset.state === 'away'`)
	b.want(`document.getElementById('live').textContent === 'Sin contacto'`)
	for _, state := range []string{"busy", "stale", "reading", "polled"} {
		s.raw("event: hub\ndata: " + state + "\n\n")
		b.wait(`document.getElementById('live').dataset.state === '` + state + `'`)
		b.want(`document.getElementById('live').textContent.length > 5`)
	}
	s.drop()
	b.wait(`document.getElementById('live').dataset.state === 'reconnecting'`)
	b.wait(`document.getElementById('live').dataset.state === 'polled'`)
	s.raw("event: hub\ndata: on\n\n")
	b.wait(liveNow)
}

func TestLiveSaysWhatIsMissing(t *testing.T) {
	s := newSite(t, raw(`<p id="a">0</p>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	s.raw("event: version\ndata: one\n\n")
	s.raw("event: gap\ndata: 1\n\n")
	b.wait(`document.querySelector('[data-gap]')`)
	b.want(`!document.querySelector('[data-outdated]')`)
	s.raw("event: version\ndata: two\n\n")
	b.wait(`document.querySelector('[data-outdated]')`)
}

func TestLiveReloadsUnlessTyping(t *testing.T) {
	s := newSite(t, raw(`<form id="f"><input id="name" value=""></form>`))
	b := open(t, s.URL)
	b.wait(liveNow)
	b.run(`window.before = true`)
	b.do(chromedp.Focus(chromedp.CSS("#name")), chromedp.KeyEvent("typed"))
	s.raw("event: reload\ndata: 1\n\n")
	b.wait(`document.querySelector('[data-gap]')`)
	b.want(`window.before && document.getElementById('name').value === 'typed'`)
	b.run(`document.getElementById('f').reset()`)
	s.raw("event: reload\ndata: 1\n\n")
	b.wait(`!window.before`)
}

func line(n int) string {
	return fmt.Sprintf(`<div id="l%d" data-append="lines" class="feed-line">line %d</div>`, n, n)
}

func TestFeed(t *testing.T) {
	s := newSite(t, feedOf("lines"))
	b := open(t, s.URL)
	b.wait(liveNow)
	send := func(from, to int) {
		var all strings.Builder
		for n := from; n <= to; n++ {
			all.WriteString(line(n))
		}
		s.send(to+1, all.String())
	}
	count := func(n int) string {
		return fmt.Sprintf(`document.querySelectorAll('#lines .feed-line').length === %d`, n)
	}
	atEnd := `(l => l.scrollHeight - l.scrollTop - l.clientHeight < 24)(document.getElementById('lines'))`

	send(1, 40)
	b.wait(count(40))
	b.want(atEnd)
	send(40, 40)
	send(41, 41)
	b.wait(count(41)) // the same line twice is one line

	b.run(`document.getElementById('lines').scrollTop = 0`)
	b.wait(`!document.querySelector('[data-feed-end]').hidden`)
	send(42, 60)
	b.wait(count(60))
	b.want(`document.getElementById('lines').scrollTop === 0`)
	b.do(chromedp.Click(chromedp.CSS("[data-feed-end]")))
	b.wait(atEnd)

	b.do(chromedp.Click(chromedp.CSS("[data-feed-pause]")))
	send(61, 72)
	b.wait(`document.querySelector('[data-feed-pause-label]').textContent === 'Go on (12)'`)
	b.want(count(60))
	b.want(`document.getElementById('live').textContent === 'Paused (12)'`)
	b.do(chromedp.Focus(chromedp.CSS("#lines")), chromedp.KeyEvent(" "))
	b.wait(count(72))
	b.want(`document.getElementById('live').textContent === 'Live'`)

	send(73, 700)
	b.wait(count(500))
	b.want(`document.querySelector('#lines .feed-line').id === 'l201' && document.querySelector('#lines .feed-line:last-child').id === 'l700'`)
	b.want(`document.getElementById('lines').getAttribute('aria-live') === 'off'`)
	b.do(chromedp.Click(chromedp.CSS("[data-feed-aloud]")))
	b.want(`document.getElementById('lines').getAttribute('aria-live') === 'polite'`)
}

func TestKeys(t *testing.T) {
	s := newSite(t, raw(`<table><tr data-row><td><a id="r1" href="/1">1</a></td></tr><tr data-row><td><a id="r2" href="/2">2</a></td></tr></table><a id="edit" href="#edited" data-key="e">edit</a>`))
	b := open(t, s.URL)
	b.press("j")
	b.want(`document.activeElement.id === 'r1'`)
	b.press("j")
	b.want(`document.activeElement.id === 'r2'`)
	b.press("ke")
	b.want(`location.hash === '#edited'`)
	b.press("/")
	b.want(`document.activeElement.name === 'q'`)
	b.press("je?/")
	b.want(`document.activeElement.value === 'je?/'`)
	b.run(`document.activeElement.blur()`)
	b.press("?")
	b.wait(`document.getElementById('keys').open`)
	b.want(`document.querySelector('[data-key-needs="[data-feed]"]').hidden`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.wait(`!document.getElementById('keys').open`)
	b.press("t")
	b.want(`document.documentElement.dataset.theme === 'light' && document.cookie.includes('twinboard_theme=light')`)
	b.press("gq")
	b.wait(`location.pathname === '/h/local/query'`)
	b.run(`document.body.dataset.keys = 'off'`)
	b.press("?")
	b.want(`!document.getElementById('keys').open`)
}
