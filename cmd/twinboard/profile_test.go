package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/devicesim"
)

func TestProfile(t *testing.T) {
	behaviours := func(name string, seed uint64) []devicesim.Spec {
		specs := make([]devicesim.Spec, 200)
		for k := range specs {
			profile{name, seed}.behave(k+1, &specs[k])
		}
		return specs
	}
	mixed := behaviours(profileMixed, 7)
	if diff := cmp.Diff(mixed, behaviours(profileMixed, 7)); diff != "" {
		t.Errorf("the same seed draws other devices:\n%s", diff)
	}
	if cmp.Equal(mixed, behaviours(profileMixed, 8)) {
		t.Error("another seed draws the same devices")
	}
	networks, answers := map[string]int{}, map[devicesim.Answers]int{}
	for _, s := range mixed {
		networks[s.Connectivity]++
		answers[s.Answers]++
	}
	if len(networks) != len(devicesim.Connectivities) || len(answers) != len(devicesim.AllAnswers) {
		t.Errorf("of 200 mixed devices %v are on a network and %v answer", networks, answers)
	}
	for k, s := range behaviours("wifi", 7) {
		if s.Connectivity != "wifi" || s.Answers != mixed[k].Answers {
			t.Fatalf("device %d is %+v, want as mixed but on wifi", k+1, s)
		}
	}
}
