package localhub

import (
	"context"
	"fmt"
	"slices"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"twinboard/hubclient/iothub"
)

// maxSubscriptions is how many filters one SUBSCRIBE may hold. It is the
// service's limit for a connection, and a device has no more filters to
// subscribe to.
const maxSubscriptions = 5

// subscriptions are the filters a device has subscribed to. The reading
// goroutine changes them, others ask.
type subscriptions struct {
	mu      sync.Mutex
	filters []string
}

// add reports whether it changed anything; remove, too.
func (s *subscriptions) add(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.filters, filter) {
		return false
	}
	s.filters = append(s.filters, filter)
	return true
}

func (s *subscriptions) remove(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.filters, filter)
	if i >= 0 {
		s.filters = slices.Delete(s.filters, i, i+1)
	}
	return i >= 0
}

func (s *subscriptions) has(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.filters, filter)
}

// all is never nil: an empty list is kept as one.
func (s *subscriptions) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.filters...)
}

// allowedFilters are what a device or module may subscribe to.
func allowedFilters(key twinKey) []string {
	allowed := []string{
		iothub.FilterTwinResponses, iothub.FilterDesired, iothub.FilterMethods,
		iothub.FilterMessages(key.DeviceID, key.ModuleID),
	}
	if key.ModuleID != "" {
		allowed = append(allowed, iothub.FilterInputs(key.DeviceID, key.ModuleID))
	}
	return allowed
}

// resume gives a connection with CleanSession 0 what the device subscribed to on
// earlier ones. An identity made anew under the same name inherits nothing: the
// store forgets with the identity.
func (s *deviceSession) resume(ctx context.Context) error {
	filters, kept, err := s.server.hub.registry.subscriptionsOf(ctx, s.key)
	if err != nil {
		return err
	}
	s.stored = kept
	if s.resumed = kept && !s.clean; s.resumed {
		s.subs.filters = filters
	}
	return nil
}

// discard forgets the kept subscriptions when the device asked for that.
func (s *deviceSession) discard() error {
	if !s.clean || !s.stored {
		return nil
	}
	return s.server.hub.registry.keepSubscriptions(s.key, s, nil)
}

// keep stores changed subscriptions before the device gets its SUBACK: after
// one, it counts on them across reconnects and restarts of the hub.
func (s *deviceSession) keep(changed bool) error {
	if s.clean || !changed {
		return nil
	}
	return s.server.hub.registry.keepSubscriptions(s.key, s, s.subs.all())
}

func (s *deviceSession) checkSubscribe(pk packets.Packet) error {
	if err := checkFilters(pk); err != nil {
		return err
	}
	if len(pk.Filters) > maxSubscriptions {
		return fmt.Errorf("subscribed to more than %d filters", maxSubscriptions)
	}
	for _, f := range pk.Filters {
		// The id of a device may hold what is a wildcard in a filter.
		if !slices.Contains(s.allowed, f.Filter) || !mqtt.IsValidFilter(f.Filter, false) {
			return fmt.Errorf("subscribed to %q", f.Filter)
		}
	}
	changed := false
	for _, f := range pk.Filters {
		changed = s.subs.add(f.Filter) || changed
	}
	if err := s.keep(changed); err != nil {
		return err
	}
	s.server.hub.registry.calls.awaken(s.key) // those who wait until it takes methods
	return nil
}

// checkFilters checks what mochi does only after the filters were kept.
func checkFilters(pk packets.Packet) error {
	if pk.PacketID == 0 || len(pk.Filters) == 0 {
		return fmt.Errorf("sent a %s packet without an id or a filter", packets.PacketNames[pk.FixedHeader.Type])
	}
	return nil
}

func (s *deviceSession) unsubscribe(pk packets.Packet) error {
	if err := checkFilters(pk); err != nil {
		return err
	}
	changed := false
	for _, f := range pk.Filters {
		changed = s.subs.remove(f.Filter) || changed
	}
	return s.keep(changed)
}
