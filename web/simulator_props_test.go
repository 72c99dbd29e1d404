package web

import (
	"testing"

	"twinboard/views/text"
)

func TestPayload(t *testing.T) {
	ctx := text.With(t.Context(), "en")
	tests := map[string]string{
		`{"power_level":1,"mode":"eco"}`:                        `mode eco, power_level 1`,
		`{"fan":{"speed":3},"mode":null}`:                       `fan.speed 3, mode removed`,
		`{"n":"5"}`:                                             `n "5"`,
		`{"power_level":{"value":1,"ac":200,"av":2}}`:           `power_level 1 (200)`,
		`{"room":{"__t":"c","t":{"value":21,"ac":202,"av":2}}}`: `room.t 21 (202)`,
		`{"mode":{"value":{"eco":true},"ac":400,"av":2}}`:       `mode.eco true (400)`,
		`{"mode":{"value":1,"ac":"200"}}`:                       `mode.ac "200", mode.value 1`,
	}
	for d, want := range tests {
		if got := payload(ctx, document(t, d)); got != want {
			t.Errorf("%s reads %q, want %q", d, got, want)
		}
	}
}
