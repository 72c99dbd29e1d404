package iothub_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
)

// checkParse compares what the package reads with what encoding/json does.
func checkParse(t *testing.T, text string) {
	t.Helper()
	got, err := iothub.ParseValue([]byte(text))
	if right := utf8.ValidString(text) && json.Valid([]byte(text)); right != (err == nil) {
		t.Fatalf("%q: %v", text, err)
	}
	if err != nil {
		return
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var want any
	if err := d.Decode(&want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) { // cmp takes minutes over deep ones
		t.Fatalf("%q is read as %#v instead of %#v", text, got, want)
	}
}

var jsonTexts = []string{
	"", " ", "\x00", "null", "nul", "nulL", "nullx", "true", "false", "tru e", " \t\r\n1 ", "1\x00", "1 2", "\v1",
	"0", "-0", "-", "+1", "01", "00", "1.", ".5", "1.50", "-1.5e+10", "1e", "1e5", "1E-5", "1-1", "--1", "0x10", "12345678901234567890",
	`""`, `"`, `"a`, `"\"`, `"\\"`, `"a\"b"`, `"\u00e9\/\b\f\n\r\t"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00x"`, `"\ud83d\ud83d"`, `"\u12"`, `"\x"`, `"\`,
	"\"\x1f\"", "\"\x7f\"", "\"é\u2028😀\"", "\"\xff\"", "\"\\\xff\"",
	"{}", "{ }", "[]", "[ ]", "[1,]", "[,1]", "[1 2]", "[1", "[", "]", "{", "}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1]`, `[1}`,
	`{"a":1,"a":2}`, `{"a":{"b":1},"a":{"c":2}}`, `{"":{"":[]}}`, `{"\u0061":1,"a":null}`,
	` { "tags" : { "a" : [ 1 , "x" , null , { "c" : true } ] } , "n" : -0.1e-7 } `, `{"a":[{"b":[[],{}]}]}`,
}

func TestParseValue(t *testing.T) {
	for _, text := range jsonTexts {
		checkParse(t, text)
	}
	for _, depth := range []int{99, 100, 101, 10_000, 10_001} {
		checkParse(t, strings.Repeat("[", depth)+strings.Repeat("]", depth))
		checkParse(t, strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth))
	}
}

// FuzzParse holds for any text: it is read or refused as encoding/json does,
// but that what is no UTF-8 is refused.
func FuzzParse(f *testing.F) {
	for _, text := range jsonTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkParse(t, text) })
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"patch": `{"properties":{"desired":{"power_level":7}}}`,
		"twin":  `{"tags":{"location":{"region":"US","plant":"plant-7"},"serial":"00000001"},"properties":{"desired":{"power_level":7,"telemetry":{"interval":30,"fields":["t","h"]}}}}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := iothub.ParseValue([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
