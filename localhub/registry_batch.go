package localhub

import (
	"errors"
	"slices"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// batch is what one transaction will write, and what follows from it once it
// is on the disk. Operations see the writes of those before them; several
// writes of one twin become one.
type batch struct {
	r       *registry
	at      time.Time // of the operation that is applied
	order   []*pending
	pending map[twinKey]*pending
	deleted []int64
	effects []func()

	subscriptions []store.Subscriptions
	jobs          store.JobWrites
}

// pending is a record that the batch changes.
type pending struct {
	key            twinKey
	record         *store.Record  // nil when deleted
	identity, twin bool           // what is written whole
	edits          []store.Edited // what was written of the twin
}

func newBatch(r *registry) *batch {
	return &batch{r: r, pending: map[twinKey]*pending{}}
}

// record returns a record as the operations before left it.
func (b *batch) record(key twinKey) (*store.Record, error) {
	if p := b.pending[key]; p != nil {
		if p.record == nil {
			return nil, notFound(key)
		}
		return p.record, nil
	}
	return b.r.recordFrom(key, b.r.store.RecordForWrite)
}

func (b *batch) touch(key twinKey) *pending {
	p := b.pending[key]
	if p == nil {
		p = &pending{key: key}
		b.pending[key] = p
		b.order = append(b.order, p)
	}
	return p
}

// create adds a record whose key nobody has.
func (b *batch) create(rec *store.Record) {
	key := keyOf(rec)
	*b.touch(key) = pending{key: key, record: rec}
}

// edit stores a record that an edit has made; putTwin one whose twin changed
// otherwise, and putIdentity one whose identity did.
func (b *batch) edit(e store.Edit, rec *store.Record) {
	p := b.touch(keyOf(rec))
	p.record = rec
	p.edits = append(p.edits, store.Edited{Edit: e, At: b.at, Record: rec})
}

func (b *batch) putTwin(rec *store.Record) {
	p := b.touch(keyOf(rec))
	p.record, p.twin = rec, true
}

func (b *batch) putIdentity(rec *store.Record) {
	p := b.touch(keyOf(rec))
	p.record, p.identity = rec, true
}

func (b *batch) delete(rec *store.Record) {
	if rec.Key != 0 {
		b.deleted = append(b.deleted, rec.Key)
	}
	key := keyOf(rec)
	*b.touch(key) = pending{key: key}
}

// after runs f once everything is on the disk, with the time of the operation.
func (b *batch) after(f func(at time.Time)) {
	at := b.at
	b.effects = append(b.effects, func() { f(at) })
}

// commit writes and then lets readers see what was written.
func (b *batch) commit() error {
	w := store.Batch{Delete: b.deleted, Subscriptions: b.subscriptions, Jobs: b.jobs}
	for _, p := range b.order {
		switch {
		case p.record == nil:
		case p.record.Key == 0:
			w.Insert = append(w.Insert, p.record)
		default:
			if p.identity {
				w.Identities = append(w.Identities, p.record)
			}
			if p.twin {
				w.Twins = append(w.Twins, p.record)
			} else {
				w.Edits = append(w.Edits, p.edits...)
			}
		}
	}
	if w.Empty() {
		return nil
	}
	b.r.columns.begin(rowsOf(&w))
	if err := b.r.store.Commit(&w); err != nil {
		b.r.columns.end(nil)
		return err
	}
	b.r.columns.end(written(&w))
	for _, p := range b.order {
		b.r.cache.put(p.key, p.record)
	}
	return nil
}

// rowsOf returns the rows that a commit will change. New ones have no key yet.
func rowsOf(w *store.Batch) []int64 {
	keys := slices.Clone(w.Delete)
	for _, rec := range slices.Concat(w.Identities, w.Twins) {
		keys = append(keys, rec.Key)
	}
	for i := range w.Edits {
		keys = append(keys, w.Edits[i].Record.Key)
	}
	return keys
}

// written returns what a commit has left in each row, nil where it deleted.
func written(w *store.Batch) map[int64]*store.Record {
	rows := make(map[int64]*store.Record, len(w.Edits))
	for _, key := range w.Delete {
		rows[key] = nil
	}
	for i := range w.Edits {
		rows[w.Edits[i].Record.Key] = w.Edits[i].Record
	}
	for _, rec := range slices.Concat(w.Insert, w.Identities, w.Twins) {
		rows[rec.Key] = rec
	}
	return rows
}

func keyOf(rec *store.Record) twinKey { return twinKey{rec.DeviceID, rec.ModuleID} }

// isNotFound tells a missing record from a store that cannot be read.
func isNotFound(err error) bool { return errors.Is(err, iothub.ErrDeviceNotFound) }
