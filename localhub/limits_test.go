package localhub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"twinboard/hubclient/iothub"
)

// bound is a document just below, at or just above a limit of twins.
type bound struct {
	name string
	text string // a JSON object
	fits bool
}

// bounds are those of a section, the ones of its size included. Sizes are in
// bytes of names and texts.
func bounds(t *testing.T, section iothub.SectionName) (out []bound) {
	t.Helper()
	around := func(what string, limit int, text func(n int) string) {
		for _, n := range []int{limit - 1, limit, limit + 1} {
			out = append(out, bound{fmt.Sprintf("%s %d", what, n), text(n), n <= limit})
		}
	}
	around("text of", 4096, func(n int) string { return `{"a":"` + strings.Repeat("x", n) + `"}` })
	around("text of two-byte characters and a rest of", 4096, func(n int) string {
		return `{"a":"` + strings.Repeat("é", n/2) + strings.Repeat("x", n%2) + `"}`
	})
	around("text in an array of", 4096, func(n int) string { return `{"a":[{"b":"` + strings.Repeat("x", n) + `"}]}` })
	around("name of", 1024, func(n int) string { return `{"` + strings.Repeat("k", n) + `":1}` })
	around("name below another of", 1024, func(n int) string { return `{"a":{"` + strings.Repeat("k", n) + `":1}}` })
	around("objects nested", 10, func(n int) string { return strings.Repeat(`{"a":`, n+1) + "1" + strings.Repeat("}", n+1) })
	around("arrays nested", 10, func(n int) string { return `{"a":` + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) + "}" })
	around("integer", 4503599627370495, func(n int) string { return fmt.Sprintf(`{"a":%d}`, n) })
	around("integer below minus", 4503599627370496, func(n int) string { return fmt.Sprintf(`{"a":%d}`, -n) })
	around("integer in an array", 4503599627370495, func(n int) string { return fmt.Sprintf(`{"a":[%d]}`, n) })
	around("number of", 128, func(n int) string { return `{"a":1.` + strings.Repeat("0", n-2) + `}` })
	around("number in an array of", 128, func(n int) string { return `{"a":[0.` + strings.Repeat("1", n-2) + `]}` })
	around("section of", section.MaxSize(), func(n int) string { return sized(t, n) })
	for _, name := range []string{"", "é", "日本", "a-b", "a/b", "_", "A:b@c", "%24"} {
		out = append(out, bound{fmt.Sprintf("name %q", name), object(t, name), true})
	}
	for _, name := range []string{"a.b", "$a", "a$", "a#", "a b", " ", "\x00", "a\x1f", "\x7f", "\u0080", "\u009f"} {
		out = append(out, bound{fmt.Sprintf("name %q", name), object(t, name), false})
	}
	return append(
		out,
		bound{"a float beyond every integer", `{"a":1e300}`, true},
		bound{"null in an array", `{"a":[1,null]}`, false},
		bound{"null in an object in an array", `{"a":[{"b":null}]}`, false},
	)
}

func object(t *testing.T, name string) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{name: 1})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sized makes a document whose size is n: names, texts, numbers 8, booleans 4.
func sized(t *testing.T, n int) string {
	t.Helper()
	members := []string{`"n":7`, `"b":{"t":true}`}
	left := n - len("n") - 8 - len("b") - len("t") - 4
	for i := 0; left > 0; i++ {
		name := fmt.Sprintf("k%02d", i)
		text := min(left-len(name), 4000)
		if rest := left - len(name) - text; rest > 0 && rest < 10 {
			text -= 10 // leave room for a name
		}
		members = append(members, `"`+name+`":"`+strings.Repeat("x", text)+`"`)
		left -= len(name) + text
	}
	return "{" + strings.Join(members, ",") + "}"
}

// TestLimitsOfWrites holds every limit over REST, for PATCH and PUT.
func TestLimitsOfWrites(t *testing.T) {
	w := startWire(t)
	for section, frame := range map[iothub.SectionName]string{
		iothub.SectionTags:    `{"tags":%s}`,
		iothub.SectionDesired: `{"properties":{"desired":%s}}`,
	} {
		id := string(section)
		w.device(id)
		for _, b := range bounds(t, section) {
			for _, method := range []string{http.MethodPatch, http.MethodPut} {
				before := w.mustCall(http.MethodPut, "/twins/"+id, `{}`)
				r := w.call(method, "/twins/"+id, fmt.Sprintf(frame, b.text))
				if b.fits {
					if r.Status != http.StatusOK {
						t.Errorf("%s %s, %s: %d %.300s", method, section, b.name, r.Status, r.Body)
					}
					continue
				}
				if r.Status != http.StatusBadRequest || r.Header.Get(headerErrorCode) != "ArgumentInvalid" {
					t.Errorf("%s %s, %s: %d %.300s", method, section, b.name, r.Status, r.Body)
				}
				if after := w.mustCall(http.MethodGet, "/twins/"+id, ""); after.Body != before.Body {
					t.Errorf("%s %s, %s: refused, yet the twin changed", method, section, b.name)
				}
			}
		}
	}
}

// TestLimitsOfReports holds every limit over MQTT, each on a new device.
func TestLimitsOfReports(t *testing.T) {
	w := startWire(t)
	for n, b := range bounds(t, iothub.SectionReported) {
		id := fmt.Sprint("d", n)
		w.device(id)
		d := w.listening(id)
		d.send(publish(0, 0, iothub.ReportedTopic("1"), []byte(b.text)))
		if b.fits {
			d.message(iothub.TwinResponseTopic(204, "1", 2))
			continue
		}
		var e iothub.DeviceErrorBody
		if err := json.Unmarshal([]byte(d.message(iothub.TwinResponseTopic(400, "1", 0))), &e); err != nil || e.ErrorCode != iothub.ErrArgumentInvalid.Number {
			t.Errorf("%s: %+v, %v", b.name, e, err)
		}
		if twin, err := w.hub.registry.twin(t.Context(), dev(id)); err != nil || twin.Properties.Reported.Version != 1 {
			t.Errorf("%s: refused, yet the twin changed: %v", b.name, err)
		}
	}
}
