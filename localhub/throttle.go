package localhub

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"twinboard/hubclient/iothub"
)

// throttle holds a hub to the rates of a tier, so that people can test how their
// programs back off. A nil throttle lets everything pass. The service delays
// operations over the rate for a while before it refuses them; this one refuses
// at once, which is a choice.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[iothub.Throttled]*bucket
}

// bucket fills with time up to its rate's burst; operations take from it.
type bucket struct {
	rate iothub.Rate
	left float64
	at   time.Time
}

func newThrottle(tier string, now func() time.Time) (*throttle, error) {
	if tier == "" {
		return nil, nil
	}
	rates, ok := iothub.TierRates(tier)
	if !ok {
		return nil, fmt.Errorf("the tier %q is not known; it must be F1, S1, S2 or S3", tier)
	}
	t := &throttle{now: now, buckets: map[iothub.Throttled]*bucket{}}
	for group, rate := range rates {
		t.buckets[group] = &bucket{rate: rate, left: float64(rate.Burst), at: now()}
	}
	return t, nil
}

// take lets n operations of a group pass or refuses them all. "" is a group
// without a throttle.
func (t *throttle) take(group iothub.Throttled, n int) error {
	if t == nil || group == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[group]
	b.fill(t.now())
	if b.left < float64(n) {
		return iothub.ErrThrottling.With("too many %s: %d in %s are allowed. Wait 10 seconds and try again.", group, b.rate.Count, b.rate.Per)
	}
	b.left -= float64(n)
	return nil
}

// takeJobDevices lets a job go on with as many of n devices as may be, and says
// how many that is.
func (t *throttle) takeJobDevices(n int) int {
	if t == nil {
		return n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[iothub.ThrottleJobDevices]
	b.fill(t.now())
	n = min(n, int(b.left))
	b.left -= float64(n)
	return n
}

func (b *bucket) fill(now time.Time) {
	b.left += float64(b.rate.Count) * float64(now.Sub(b.at)) / float64(b.rate.Per)
	b.left, b.at = min(b.left, float64(b.rate.Burst)), now
}

// throttledAs says which throttle one request of a route counts for. Bulk
// requests and direct methods count by what is in them, and do so themselves.
func (r route) throttledAs() iothub.Throttled {
	switch {
	case strings.HasPrefix(r.path, "/changes"), r.calls(), r.bulk():
		return ""
	case strings.HasPrefix(r.path, "/jobs/"):
		return iothub.ThrottleJobs
	case r.path == "/devices/query":
		return iothub.ThrottleQueries
	case !strings.HasPrefix(r.path, "/twins/"):
		return iothub.ThrottleRegistry
	case r.method == http.MethodGet:
		return iothub.ThrottleTwinReads
	}
	return iothub.ThrottleTwinUpdates
}

// meters counts a payload in the units of direct methods.
func meters(payload []byte) int {
	return max(1, (len(payload)+iothub.MethodMeter-1)/iothub.MethodMeter)
}
