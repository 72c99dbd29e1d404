//go:build screens

package main

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/views"
)

// screensDir is where the pictures of the documentation are kept.
const screensDir = "../../docs/screens"

// screen is one picture of the documentation.
type screen struct {
	name, path    string
	dark, spanish bool
	width, height int64 // 0 for 1280 × 800
	act           func(b *tab, hub *hubclient.Client)
}

// screens are the pictures, in the order in which they are taken: some change
// what the next show.
var screens = []screen{
	{name: "overview", path: "/h/local"},
	{name: "devices", path: "/h/local/devices?tag.location.region=US&col=tags.location.plant"},
	{name: "twin", path: "/h/local/devices/pump-07"},
	{name: "twin-phone", path: "/h/local/devices/pump-07", dark: true, width: 390, height: 844},
	{name: "conflict", path: "/h/local/devices/pump-07/edit/desired", act: conflict},
	{name: "query", path: "/h/local/query?q=" + escape("SELECT * FROM devices WHERE properties.reported.connectivity = 'cellular'"), dark: true},
	{name: "simulator", path: "/h/local/simulator", dark: true},
	{name: "tutorial", path: "/h/local/learn/1", height: 1000, act: tutorial},
	{name: "changes", path: "/h/local/changes"},
	{name: "devices-es", path: "/h/local/devices?col=tags.location.plant", spanish: true},
}

// TestScreens takes the pictures of the documentation from a running program.
func TestScreens(t *testing.T) {
	device := manyStates
	device.id = "pump-07"
	p := serve(t, "--data", prepare(t, device), "--demo", "20")
	p.lists(t, 21)
	hub, b := p.client(t, "iothubowner"), startBrowser(t).tab(t, p.Dashboard)
	for _, s := range screens {
		b.look(s)
		b.open(s.path)
		if s.act != nil {
			s.act(b, hub)
		}
		b.until("fonts and pictures", `document.readyState === "complete" && document.fonts.status === "loaded"`)
		picture := small(t, must(b, "picture", chromedp.CaptureScreenshot()))
		if err := os.WriteFile(filepath.Join(screensDir, s.name+".png"), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// look sets theme, language and size.
func (b *tab) look(s screen) {
	b.t.Helper()
	theme, lang, width, height := "light", "en", int64(1280), int64(800)
	if s.dark {
		theme = "dark"
	}
	if s.spanish {
		lang = "es"
	}
	if s.width > 0 {
		width = s.width
	}
	if s.height > 0 {
		height = s.height
	}
	b.prefer("prefers-color-scheme", theme)
	b.speak(lang)
	params := emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1}
	if _, err := chromedp.Call(b.ctx, emulation.SetDeviceMetricsOverride, params); err != nil {
		b.t.Fatal(err)
	}
}

// conflict edits a setting that another program changes meanwhile.
func conflict(b *tab, hub *hubclient.Client) {
	b.t.Helper()
	limit := testid("edit-row") + ":has([value=limit]) [name=value]"
	b.fill(limit, "45")
	b.follow(testid("review-button"))
	if _, err := hub.UpdateTwin(b.t.Context(), "pump-07", iothub.TwinPatch{Desired: iothub.Document{"limit": number("40")}}, nil); err != nil {
		b.t.Fatal(err)
	}
	b.follow(testid("apply"))
	b.see(testid("conflict-field"))
}

// tutorial goes through the first three steps; the third shows what was sent.
func tutorial(b *tab, _ *hubclient.Client) {
	b.t.Helper()
	for _, button := range []string{"learn-check", "learn-show"} {
		b.follow(testid(button))
		b.see("[data-done=true]")
		b.follow(testid("learn-next"))
	}
	b.follow(testid("learn-show"))
	b.see("[data-done=true]")
	b.click(testid("wire") + " li:last-child summary")
}

// small is the picture with a palette of 256 colours: the most frequent ones, and
// for every other the nearest of them.
func small(t *testing.T, picture []byte) []byte {
	t.Helper()
	from, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	to := image.NewPaletted(from.Bounds(), frequent(from, 256))
	draw.Draw(to, to.Bounds(), from, from.Bounds().Min, draw.Src)
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&out, to); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func frequent(picture image.Image, most int) color.Palette {
	counts := map[color.Color]int{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			counts[picture.At(x, y)]++
		}
	}
	palette := make(color.Palette, 0, len(counts))
	for c := range counts {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int { return counts[b] - counts[a] })
	return palette[:min(most, len(palette))]
}

// speak sets the language of the pages from now on.
func (b *tab) speak(lang string) {
	b.t.Helper()
	b.open("/welcome")
	b.evaluate(`document.cookie = "` + views.LangCookie + `=` + lang + `; path=/"; void 0`)
}
