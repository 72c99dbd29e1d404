package localhub

import (
	"encoding/base64"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

const (
	// keptChanges is how many events of the change feed can be replayed.
	keptChanges = 10_000
	// maxAnnounced bounds the body of a message on the change feed, and so
	// what the feed holds in memory; a longer body is cut.
	maxAnnounced = 4096
)

// change begins an event about a record that was just committed.
func change(b *batch, by actor, kind iothub.ChangeKind, operation string, rec *store.Record) iothub.Change {
	return iothub.Change{
		Time: b.at, DeviceID: rec.DeviceID, ModuleID: rec.ModuleID, Kind: kind, Operation: operation,
		Version: rec.Version(), ETag: iothub.TwinETag(rec.TwinETag), Policy: by.Policy, Device: by.DeviceID,
	}
}

func (r *registry) announceIdentity(b *batch, by actor, operation string, rec *store.Record) {
	c := change(b, by, iothub.ChangeIdentity, operation, rec)
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
		Device: key.DeviceID, Telemetry: message(bag, payload),
	})
}

func message(bag string, payload []byte) *iothub.Telemetry {
	t := &iothub.Telemetry{Properties: iothub.ParseProperties(bag)}
	if utf8.Valid(payload) {
		t.Body = cut(string(payload))
		return t
	}
	t.Body, t.Base64 = base64.StdEncoding.EncodeToString(payload[:min(len(payload), maxAnnounced)]), true
	return t
}

// cut shortens a text without splitting a character.
func cut(s string) string {
	if len(s) <= maxAnnounced {
		return s
	}
	end := maxAnnounced
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
