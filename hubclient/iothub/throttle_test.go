package iothub_test

import (
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

// TestTiersHaveTheRatesOfTheDocumentation holds the rates of one unit.
func TestTiersHaveTheRatesOfTheDocumentation(t *testing.T) {
	type rate struct {
		count int
		per   time.Duration
	}
	minute := func(n int) rate { return rate{n, time.Minute} }
	second := func(n int) rate { return rate{n, time.Second} }
	for group, want := range map[iothub.Throttled][3]rate{ // F1 and S1, S2, S3
		iothub.ThrottleRegistry:    {minute(100), minute(100), minute(5000)},
		iothub.ThrottleConnections: {second(100), second(120), second(6000)},
		iothub.ThrottleTelemetry:   {second(100), second(120), second(6000)},
		iothub.ThrottleTwinReads:   {second(100), second(100), second(500)},
		iothub.ThrottleTwinUpdates: {second(50), second(50), second(250)},
		iothub.ThrottleQueries:     {minute(20), minute(20), minute(1000)},
		iothub.ThrottleMethods:     {second(40), second(120), second(6144)}, // of 4 KB: 160 KB, 480 KB and 24 MB
		iothub.ThrottleJobs:        {minute(100), minute(100), minute(5000)},
		iothub.ThrottleJobDevices:  {second(10), second(10), second(50)},
	} {
		for tier, column := range map[string]int{"F1": 0, "S1": 0, "S2": 1, "S3": 2} {
			rates, ok := iothub.TierRates(tier)
			got := rate{rates[group].Count, rates[group].Per}
			if !ok || got != want[column] || rates[group].Burst < got.count {
				t.Errorf("%s, %s: %+v", tier, group, rates[group])
			}
		}
	}
	for _, tier := range []string{"", "B1", "s1", "S4"} {
		if _, ok := iothub.TierRates(tier); ok {
			t.Errorf("%q is a tier", tier)
		}
	}
}
