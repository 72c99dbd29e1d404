package localhub

import (
	"context"
	"encoding/json"

	"twinboard/hubclient/iothub"
)

// actor says who does something: a service by its policy, or a device.
type actor struct{ Policy, DeviceID, ModuleID string }

// twinKey names a twin; ModuleID "" is the device itself.
type twinKey struct{ DeviceID, ModuleID string }

// session is one connection of a device. Its methods only enqueue on the
// connection's bounded ordered queue and never block: the writer calls them
// after each commit, in order. A session whose queue overflows ends itself.
type session interface {
	// sendDesired hands over a desired patch; version is the new $version,
	// which body holds too. A session without subscription drops it.
	sendDesired(version int64, body []byte)
	// answerReported answers patchReported; version is the new
	// reported.$version, 0 with an error.
	answerReported(rid string, version int64, err error)
	// answerTwin answers readTwin.
	answerTwin(rid string, body []byte, err error)
	// end drops the connection; the reason is for the log.
	end(reason string)
}

// page is one page of query results.
type page struct {
	Type         string // iothub.ItemTwin or iothub.ItemRaw
	Rows         []json.RawMessage
	Continuation string // "" on the last page
}

// registry holds identities and twins. See the package comment.
type registry struct{}

func (r *registry) createDevice(ctx context.Context, by actor, d iothub.Device) (iothub.Device, error) {
	return d, nil
}
func (r *registry) updateDevice(ctx context.Context, by actor, d iothub.Device, ifMatch iothub.ETag) (iothub.Device, error) {
	return d, nil
}
func (r *registry) deleteDevice(ctx context.Context, by actor, id string, ifMatch iothub.ETag) error {
	return nil
}
func (r *registry) device(ctx context.Context, id string) (iothub.Device, error) {
	return iothub.Device{}, nil
}
func (r *registry) devices(ctx context.Context, top int) ([]iothub.Device, error) { return nil, nil }
func (r *registry) statistics(ctx context.Context) (iothub.RegistryStatistics, error) {
	return iothub.RegistryStatistics{}, nil
}
func (r *registry) connected() int { return 0 }

func (r *registry) twin(ctx context.Context, key twinKey) (*iothub.Twin, error) { return nil, nil }
func (r *registry) updateTwin(ctx context.Context, by actor, key twinKey, p iothub.TwinPatch, ifMatch iothub.ETag) (*iothub.Twin, error) {
	return nil, nil
}
func (r *registry) replaceTwin(ctx context.Context, by actor, key twinKey, p iothub.TwinPatch, ifMatch iothub.ETag) (*iothub.Twin, error) {
	return nil, nil
}
func (r *registry) query(ctx context.Context, text, continuation string, pageSize int) (page, error) {
	return page{}, nil
}

func (r *registry) connect(ctx context.Context, key twinKey, modelID string, s session) error {
	return nil
}
func (r *registry) disconnect(key twinKey, s session) {}
func (r *registry) patchReported(key twinKey, s session, rid string, patch []byte, base *int64) {
}
func (r *registry) readTwin(key twinKey, s session, rid string)            {}
func (r *registry) telemetry(key twinKey, topicBag string, payload []byte) {}
