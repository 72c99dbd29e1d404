package localhub

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"twinboard/hubclient/iothub"
)

// throttle holds a hub to the rates of a tier, so that people can test how their
// programs back off. A nil throttle lets everything pass. Like the service, it
// takes a burst, then lets calls and what devices send wait for their turn, and
// refuses what would wait too long.
type throttle struct {
	now     func() time.Time
	longest time.Duration // that something may wait

	mu      sync.Mutex
	buckets map[iothub.Throttled]*bucket
}

// longestWait is how long something may have to wait for its turn. How long the
// service lets calls wait is not documented; of 250 reads at two and a half times
// the rate nine in ten were seen to be answered within 1.2 s.
const longestWait = 2 * time.Second

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
	t := &throttle{now: now, longest: longestWait, buckets: map[iothub.Throttled]*bucket{}}
	for group, rate := range rates {
		t.buckets[group] = &bucket{rate: rate, left: float64(rate.Burst), at: now()}
	}
	return t, nil
}

// pass lets n operations of a group pass when it is their turn, or refuses them
// all. "" is a group without a throttle.
func (t *throttle) pass(ctx context.Context, group iothub.Throttled, n int) error {
	if t == nil || group == "" {
		return nil
	}
	wait, err := t.reserve(group, n, t.longest)
	if err != nil || wait == 0 || pause(ctx, wait) {
		return err
	}
	return context.Cause(ctx)
}

// take lets n operations of a group pass at once or refuses them all: whoever has
// not shown yet who it is must not wait.
func (t *throttle) take(group iothub.Throttled, n int) error {
	if t == nil || group == "" {
		return nil
	}
	_, err := t.reserve(group, n, 0)
	return err
}

// reserve takes n operations out of the bucket, also such as it does not hold
// yet, and says how long they have to wait for them, unless that is too long.
func (t *throttle) reserve(group iothub.Throttled, n int, longest time.Duration) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[group]
	b.fill(t.now())
	wait := b.timeFor(float64(n) - b.left)
	if wait > longest {
		return 0, iothub.ErrThrottling.With("too many %s: %d in %s are allowed. Wait 10 seconds and try again.", group, b.rate.Count, b.rate.Per)
	}
	b.left -= float64(n)
	return wait, nil
}

// timeFor is how long it takes until so much has flowed into the bucket.
func (b *bucket) timeFor(amount float64) time.Duration {
	return time.Duration(math.Ceil(max(0, amount) * float64(b.rate.Per) / float64(b.rate.Count)))
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
	n = min(n, int(max(0, b.left)))
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
