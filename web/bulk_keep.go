package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/web/store"
)

// bulkKeeper keeps bulk changes in the dashboard's store, so that one that the
// program's end interrupts is found again. Outcomes are kept to the last: its
// methods do not care whether the context has ended.
type bulkKeeper struct {
	store *store.Store
	now   func() time.Time
	log   *slog.Logger
}

// begin keeps a bulk change that begins or goes on.
func (k bulkKeeper) begin(ctx context.Context, b *bulk) error {
	b.mu.Lock()
	kept, items := b.kept, slices.Clone(b.items)
	b.mu.Unlock()
	if kept {
		return k.store.SetBulk(context.WithoutCancel(ctx), b.id, phaseRunning)
	}
	whole := store.Bulk{ID: b.id, Hub: b.hub.Slug, Act: b.act, Phase: phaseRunning, At: k.now(), Patch: b.patch}
	for _, i := range items {
		item := store.BulkItem{DeviceID: i.id, ETag: i.etag, Line: i.line, State: i.state, Old: i.old, Reason: i.reason, ReasonWas: i.reasonWas, Entry: i.entry}
		if b.act == actCreate {
			var err error
			if item.Made, err = json.Marshal(keptDeviceOf(i.made)); err != nil {
				return fmt.Errorf("keep %s: %w", i.id, err)
			}
		}
		whole.Items = append(whole.Items, item)
	}
	if err := k.store.StartBulk(context.WithoutCancel(ctx), whole); err != nil {
		return err
	}
	b.mu.Lock()
	b.kept = true
	b.mu.Unlock()
	return nil
}

// items keeps what became of some devices; the lock is held.
func (k bulkKeeper) items(ctx context.Context, b *bulk, items []bulkItem) error {
	results, err := resultsOf(items)
	if err != nil {
		return err
	}
	return k.store.SetBulk(context.WithoutCancel(ctx), b.id, b.phase, results...)
}

// phase keeps the phase; the lock is held.
func (k bulkKeeper) phase(ctx context.Context, b *bulk) error {
	return k.store.SetBulk(context.WithoutCancel(ctx), b.id, b.phase)
}

func resultsOf(items []bulkItem) ([]store.BulkResult, error) {
	results := make([]store.BulkResult, len(items))
	for n, i := range items {
		results[n] = store.BulkResult{Place: i.place, State: i.state, Old: i.old, ReasonWas: i.reasonWas, Entry: i.entry}
		if i.err == nil {
			continue
		}
		var err error
		if results[n].Error, err = json.Marshal(keptErrorOf(i.err)); err != nil {
			return nil, fmt.Errorf("keep %s: %w", i.id, err)
		}
	}
	return results, nil
}

// keptDevice is a device to register, as it is kept: without its keys.
type keptDevice struct {
	Status  string          `json:"status,omitempty"`
	Keyless bool            `json:"keyless,omitempty"` // there were keys
	Tags    iothub.Document `json:"tags,omitempty"`
	Desired iothub.Document `json:"desired,omitempty"`
}

func keptDeviceOf(d newDevice) keptDevice {
	return keptDevice{d.status, d.keyless || d.keys != iothub.SymmetricKey{}, d.tags, d.desired}
}

// keptError is why a device was left as it is: the refusal of a hub, or that it
// gave no answer (Kind).
type keptError struct {
	Code    string                   `json:"code,omitempty"`
	Status  int                      `json:"status,omitempty"`
	Message string                   `json:"message,omitempty"`
	Kind    hubclient.ConnectionKind `json:"kind,omitempty"`
	Host    string                   `json:"host,omitempty"`
	Sent    bool                     `json:"sent,omitempty"`
	Skew    time.Duration            `json:"skew,omitempty"`
	Keyless bool                     `json:"keyless,omitempty"`
	Limit   *iothub.LimitError       `json:"limit,omitempty"`
	Left    []string                 `json:"left,omitempty"` // paths that others have changed
}

func keptErrorOf(err error) keptError {
	if refused, ok := errors.AsType[*iothub.Error](err); ok {
		return keptError{Code: refused.Code, Status: refused.Status, Message: refused.Message}
	}
	if away, ok := errors.AsType[*hubclient.ConnectionError](err); ok {
		return keptError{Kind: away.Kind, Host: away.Host, Sent: away.Sent, Skew: away.Skew, Message: away.Err.Error()}
	}
	if limit, ok := errors.AsType[*iothub.LimitError](err); ok {
		return keptError{Limit: limit}
	}
	if left, ok := errors.AsType[*leftAloneError](err); ok {
		return keptError{Left: left.paths}
	}
	return keptError{Message: err.Error(), Keyless: errors.Is(err, errKeyless)}
}

func (e keptError) err() error {
	switch {
	case e.Code != "":
		return &iothub.Error{Code: e.Code, Status: e.Status, Message: e.Message}
	case e.Kind != "":
		return &hubclient.ConnectionError{Kind: e.Kind, Host: e.Host, Sent: e.Sent, Skew: e.Skew, Err: errors.New(e.Message)}
	case e.Keyless:
		return errKeyless
	case e.Limit != nil:
		return e.Limit
	case e.Left != nil:
		return &leftAloneError{e.Left}
	}
	return errors.New(e.Message)
}

// loadBulks brings back the bulk changes from before the program's last end. One
// that ran then is interrupted.
func (s *Server) loadBulks(ctx context.Context) error {
	for _, h := range s.hubs {
		kept, err := s.store.Bulks(ctx, h.Slug)
		if err != nil {
			return err
		}
		for _, k := range kept {
			b, err := s.loadBulk(h, k)
			if err != nil {
				return fmt.Errorf("bulk %s: %w", k.ID, err)
			}
			if err := s.bulks.add(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) loadBulk(h *Hub, kept store.Bulk) (*bulk, error) {
	items := make([]bulkItem, len(kept.Items))
	for n, i := range kept.Items {
		items[n] = bulkItem{id: i.DeviceID, etag: i.ETag, line: i.Line, old: i.Old, reason: i.Reason, reasonWas: i.ReasonWas, entry: i.Entry}
		if i.Made != nil {
			var made keptDevice
			numbers := json.NewDecoder(bytes.NewReader(i.Made))
			numbers.UseNumber() // as they were written
			if err := numbers.Decode(&made); err != nil {
				return nil, fmt.Errorf("device %s: %w", i.DeviceID, err)
			}
			items[n].made = newDevice{status: made.Status, tags: made.Tags, desired: made.Desired, keyless: made.Keyless}
		}
	}
	b := s.newBulk(h, kept.Act, items)
	b.id, b.phase, b.kept, b.patch = kept.ID, kept.Phase, true, kept.Patch
	if b.phase == phaseRunning {
		b.phase = phaseInterrupted
	}
	for n, i := range kept.Items {
		b.items[n].state = i.State
		if i.Error == nil {
			continue
		}
		var failed keptError
		if err := json.Unmarshal(i.Error, &failed); err != nil {
			return nil, fmt.Errorf("device %s: %w", i.DeviceID, err)
		}
		b.items[n].err = failed.err()
	}
	return b, nil
}
