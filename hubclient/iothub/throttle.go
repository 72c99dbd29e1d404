package iothub

import "time"

// Throttled is a group of operations that share one of IoT Hub's throttles.
type Throttled string

// The groups that a local hub can throttle.
const (
	ThrottleRegistry    Throttled = "identity registry operations" // each identity of a bulk request counts
	ThrottleConnections Throttled = "device connections"
	ThrottleTelemetry   Throttled = "device-to-cloud messages"
	ThrottleTwinReads   Throttled = "twin reads"
	ThrottleTwinUpdates Throttled = "twin updates"
	ThrottleQueries     Throttled = "queries"
	ThrottleMethods     Throttled = "direct methods" // counted by MethodMeter
	ThrottleJobs        Throttled = "jobs operations"
	ThrottleJobDevices  Throttled = "jobs device operations"
)

// MethodMeter is the unit in which direct methods are counted, in bytes of
// payload.
const MethodMeter = 4 * 1024

// Rate is how many operations a hub takes in a time, and how many beyond that at
// once.
type Rate struct {
	Count int
	Per   time.Duration
	Burst int
}

// Bursts of the rates. The documentation says that bursts are absorbed, not how
// long; 250 registry reads in ten seconds were seen to pass where 100 a minute
// are allowed. These are our choice.
const (
	burstOfMinutes = 2.5 // minutes' worth, of what is counted by the minute
	burstOfSeconds = 10  // seconds' worth, of the rest
)

func perMinute(n int) Rate { return Rate{n, time.Minute, int(float64(n) * burstOfMinutes)} }
func perSecond(n int) Rate { return Rate{n, time.Second, n * burstOfSeconds} }

// tiers are the throttles of a hub with one unit (IoT Hub documentation: quotas
// and throttling).
var tiers = map[string]map[Throttled]Rate{
	"F1": smallest,
	"S1": smallest,
	"S2": {
		ThrottleRegistry: perMinute(100), ThrottleConnections: perSecond(120), ThrottleTelemetry: perSecond(120),
		ThrottleTwinReads: perSecond(100), ThrottleTwinUpdates: perSecond(50), ThrottleQueries: perMinute(20),
		ThrottleMethods: perSecond(480 / 4), ThrottleJobs: perMinute(100), ThrottleJobDevices: perSecond(10),
	},
	"S3": {
		ThrottleRegistry: perMinute(5000), ThrottleConnections: perSecond(6000), ThrottleTelemetry: perSecond(6000),
		ThrottleTwinReads: perSecond(500), ThrottleTwinUpdates: perSecond(250), ThrottleQueries: perMinute(1000),
		ThrottleMethods: perSecond(24 * 1024 / 4), ThrottleJobs: perMinute(5000), ThrottleJobDevices: perSecond(50),
	},
}

var smallest = map[Throttled]Rate{
	ThrottleRegistry: perMinute(100), ThrottleConnections: perSecond(100), ThrottleTelemetry: perSecond(100),
	ThrottleTwinReads: perSecond(100), ThrottleTwinUpdates: perSecond(50), ThrottleQueries: perMinute(20),
	ThrottleMethods: perSecond(160 / 4), ThrottleJobs: perMinute(100), ThrottleJobDevices: perSecond(10),
}

// TierRates returns the throttles of a tier: F1, S1, S2 or S3. ok is false for
// another name; B tiers have no twins.
func TierRates(tier string) (rates map[Throttled]Rate, ok bool) {
	rates, ok = tiers[tier]
	return rates, ok
}

// activeJobs is how many scheduled jobs a hub of a tier takes at a time, those
// still to start included.
var activeJobs = map[string]int{"F1": 1, "S1": 1, "S2": 5, "S3": 10}

// TierJobs returns how many jobs a hub of a tier takes at a time; 0 for a name
// that is none.
func TierJobs(tier string) int { return activeJobs[tier] }
