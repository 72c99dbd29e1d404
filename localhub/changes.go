package localhub

import (
	"encoding/base64"
	"slices"
	"time"
	"unicode/utf8"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

const (
	// keptChanges is how many events of the change feed can be replayed, within
	// keptChangeBytes of memory by estimate.
	keptChanges     = 10_000
	keptChangeBytes = 128 << 20
	// changesBuffer is how many events a reader may lag behind: a transaction tells
	// all it has written at once, of a write of tags and desired two things.
	changesBuffer = 2 * batchLength
	// maxAnnounced bounds the body of a message on the change feed: whoever
	// follows the twins of a hub must not be flooded by what its devices send. A
	// longer body is cut, and kept whole beside the feed for those who ask.
	maxAnnounced = 4096
	// keptBodies and keptBodyBytes bound the latest of those.
	keptBodies    = 1000
	keptBodyBytes = 32 << 20
)

func newChanges() *feed.Feed[iothub.Change] {
	return feed.NewBounded(keptChanges, keptChangeBytes, iothub.Change.Weight).WithBuffer(changesBuffer)
}

// newBodies carries the whole bodies of long messages.
func newBodies() *feed.Feed[[]byte] {
	return feed.NewBounded(keptBodies, keptBodyBytes, func(b []byte) int { return len(b) })
}

// change begins an event about a record that was just committed.
func change(at time.Time, by actor, kind iothub.ChangeKind, operation string, rec *store.Record) iothub.Change {
	return iothub.Change{
		Time: at, DeviceID: rec.DeviceID, ModuleID: rec.ModuleID, Kind: kind, Operation: operation,
		Version: rec.Version(), ETag: iothub.TwinETag(rec.TwinETag), Policy: by.Policy, Device: by.DeviceID, Job: by.Job,
	}
}

func (r *registry) announceIdentity(at time.Time, by actor, operation string, rec *store.Record) {
	c := change(at, by, iothub.ChangeIdentity, operation, rec)
	if operation != iothub.OperationDelete {
		c.Patch = iothub.Document{"status": rec.Status}
	}
	r.changes.Publish(c)
}

// telemetry notes a message of a device and announces it. bag is the property
// bag of its topic, percent-encoded.
func (r *registry) telemetry(key twinKey, bag string, payload []byte) {
	r.touch(key)
	r.changes.Publish(iothub.Change{
		Time: r.now(), DeviceID: key.DeviceID, ModuleID: key.ModuleID, Kind: iothub.ChangeTelemetry,
		Device: key.DeviceID, Telemetry: r.message(bag, payload),
	})
}

// message describes a message, with the whole of a short body and the beginning
// of a long one.
func (r *registry) message(bag string, payload []byte) *iothub.Telemetry {
	t := &iothub.Telemetry{Properties: iothub.ParseProperties(bag), Size: len(payload)}
	if utf8.Valid(payload) {
		t.Body = cut(payload)
	} else {
		t.Body, t.Base64 = base64.StdEncoding.EncodeToString(payload[:min(len(payload), maxAnnounced)]), true
	}
	if len(payload) > maxAnnounced {
		id := r.bodies.Publish(slices.Clone(payload)) // what it came in is not ours
		t.Whole = iothub.Cursor{Epoch: r.bodies.Epoch(), ID: id}.String()
	}
	return t
}

// cut returns the beginning of a text, no character split, without holding on to
// the rest.
func cut(b []byte) string {
	if len(b) <= maxAnnounced {
		return string(b)
	}
	end := maxAnnounced
	for !utf8.RuneStart(b[end]) {
		end--
	}
	return string(b[:end])
}
