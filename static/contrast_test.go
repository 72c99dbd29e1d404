package static_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// themes are the tokens of src/css/tokens.css that are colours, for light and
// dark.
func themes(t *testing.T) map[string]map[string]string {
	t.Helper()
	css, err := os.ReadFile("src/css/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{"light": {}, "dark": {}}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(string(css), -1) {
		all["light"][m[1]], all["dark"][m[1]] = m[2], m[3]
	}
	return all
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex[1:], 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	channel := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func TestContrastFormula(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#777777", "#ffffff", 4.48}, {"#17212b", "#ffffff", 16.3}} {
		if got := contrast(t, tt.a, tt.b); math.Abs(got-tt.want) > 0.05 {
			t.Errorf("contrast of %s on %s is %.2f, want %.2f", tt.a, tt.b, got, tt.want)
		}
	}
}

// Text reaches 4.5:1 on every ground it stands on, lines that carry meaning
// 3:1 (WCAG 2.2, 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	type pair struct {
		ink, ground string
		least       float64
	}
	var pairs []pair
	for _, ink := range []string{"ink", "muted", "accent", "in-sync", "waiting", "applying", "differs", "rejected", "quiet"} {
		pairs = append(pairs, pair{ink, "ground", 4.5}, pair{ink, "surface", 4.5})
	}
	for _, state := range []string{"in-sync", "waiting", "applying", "differs", "rejected", "quiet"} {
		pairs = append(pairs,
			pair{state, state + "-ground", 4.5},
			pair{"ink", state + "-ground", 4.5},
			pair{"muted", state + "-ground", 4.5},
			pair{"accent", state + "-ground", 4.5},
			pair{"on-accent", state, 4.5}) // hub chip, filled buttons, steps done
	}
	pairs = append(pairs, pair{"accent", "accent-ground", 4.5}, pair{"ink", "accent-ground", 4.5}, pair{"muted", "accent-ground", 4.5},
		pair{"on-accent", "accent", 4.5}, pair{"line", "ground", 3}, pair{"line", "surface", 3})
	for name, tokens := range themes(t) {
		for _, p := range pairs {
			if tokens[p.ink] == "" || tokens[p.ground] == "" {
				t.Fatalf("%s: no token %q or %q", name, p.ink, p.ground)
			}
			if got := contrast(t, tokens[p.ink], tokens[p.ground]); got < p.least {
				t.Errorf("%s: %s on %s is %.2f:1, least %.1f:1", name, p.ink, p.ground, got, p.least)
			}
		}
	}
}

// A colour anywhere but in the tokens escapes the test above.
func TestColoursAreTokens(t *testing.T) {
	list, err := os.ReadDir("src/css")
	if err != nil {
		t.Fatal(err)
	}
	colour := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b|\b(?:hsl|oklch)\(`)
	for _, f := range list {
		if f.Name() == "tokens.css" {
			continue
		}
		css, err := os.ReadFile("src/css/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range colour.FindAllString(string(css), -1) {
			t.Errorf("%s holds the colour %s", f.Name(), c)
		}
	}
}
