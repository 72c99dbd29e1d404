package localhub

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// actor says who does something: a service by its policy, a device, or the job
// that a service scheduled.
type actor struct{ Policy, DeviceID, ModuleID, Job string }

// twinKey names a twin; ModuleID "" is the device itself.
type twinKey struct{ DeviceID, ModuleID string }

// session is one connection of a device. Its methods only enqueue on the
// connection's bounded ordered queue and never block: the writer calls them
// after each commit, in order. A session whose queue overflows ends itself.
type session interface {
	// sendDesired hands over a desired patch; version is the new $version,
	// which body holds too. A session without subscription drops it.
	sendDesired(version int64, body []byte)
	// sendMethod calls a direct method; false means that the session takes none.
	sendMethod(name, rid string, payload []byte) bool
	// answerReported answers patchReported; version is the new
	// reported.$version, 0 with an error.
	answerReported(rid string, version int64, err error)
	// answerTwin answers readTwin; desired is the $version of the desired
	// properties in body.
	answerTwin(rid string, desired int64, body []byte, err error)
	// end drops the connection; the reason is for the log.
	end(reason string)
}

// page is one page of query results, or of jobs.
type page struct {
	Type         string // what the rows are: iothub.ItemTwin and the others
	Rows         []json.RawMessage
	Continuation string // "" on the last page
}

// registry holds identities and twins. One goroutine, the writer, applies all
// writes: it applies what has queued up, commits it in one transaction, and only
// then answers and notifies, in order. Reads see every answered write. Records
// and the documents in them are never changed in place, so whoever gets one may
// keep it and must not change it.
type registry struct {
	store   *store.Store
	changes *feed.Feed[iothub.Change]
	bodies  *feed.Feed[[]byte] // of messages too long for changes
	log     *slog.Logger
	clock   func() time.Time
	cache   *cache
	columns *columns
	calls   calls
	parsed  *parsed // queries

	queue  chan *op
	closed chan struct{} // closed by close: nothing new is taken
	done   chan struct{} // closed by the writer when it has stopped
	once   sync.Once

	lagging bool // the writer's: the last fold failed

	mu       sync.Mutex
	presence map[twinKey]*presence
	online   int // devices with a session
}

const (
	// queueLength is how many writes may wait; who comes then waits to queue.
	queueLength = 4096
	// batchLength bounds one transaction, in writes and answers, and with it the wait
	// for these.
	batchLength = 1024
	// Times of activity are written flushLength at a time.
	flushInterval = time.Second
	flushLength   = 1000
	// Rows of twins that lag behind are brought up to date foldLength at a time.
	foldInterval = 100 * time.Millisecond
	foldLength   = 64
)

// errClosed means that the hub is stopping.
var errClosed = iothub.ErrServiceUnavailable.With("the hub is stopping")

func newRegistry(ctx context.Context, s *store.Store, changes *feed.Feed[iothub.Change], log *slog.Logger, clock func() time.Time) (*registry, error) {
	r := &registry{
		store: s, changes: changes, bodies: newBodies(), log: log, clock: clock, cache: newCache(cacheBytes), parsed: newParsed(),
		queue: make(chan *op, queueLength), closed: make(chan struct{}), done: make(chan struct{}),
		presence: map[twinKey]*presence{},
	}
	r.columns = newColumns(r)
	if err := r.loadPresence(ctx); err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

// close lets the writer finish what is queued, ends every session and waits.
func (r *registry) close() {
	r.once.Do(func() { close(r.closed) })
	<-r.done
}

// now has the resolution in which times are stored and shown.
func (r *registry) now() time.Time { return r.clock().UTC().Truncate(100 * time.Nanosecond) }

// op is one operation in the writer's queue.
type op struct {
	ctx context.Context // nil: cannot be given up
	// apply checks the operation and records its writes in the batch. When it
	// returns an error it has recorded nothing.
	apply func(*batch) error
	// answer is called after the commit, in the order of operations, with the
	// error of apply or of the commit.
	answer func(error)

	err error
}

// do runs an operation through the writer and waits for its answer.
func (r *registry) do(ctx context.Context, apply func(*batch) error) error {
	answered := make(chan error, 1)
	o := &op{ctx: ctx, apply: apply, answer: func(err error) { answered <- err }}
	if err := r.enqueue(ctx, o); err != nil {
		return err
	}
	// No giving up here: an operation that has begun is answered with what
	// became of it.
	select {
	case err := <-answered:
		return err
	case <-r.done:
		select {
		case err := <-answered:
			return err
		default:
			return errClosed
		}
	}
}

func (r *registry) enqueue(ctx context.Context, o *op) error {
	select {
	case <-r.closed:
		return errClosed
	default:
	}
	select {
	case r.queue <- o:
		return nil
	case <-r.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writer.
func (r *registry) run() {
	defer close(r.done)
	flush := time.NewTicker(flushInterval)
	defer flush.Stop()
	fold := time.NewTicker(foldInterval)
	defer fold.Stop()
	for {
		select {
		case o := <-r.queue:
			r.process(o)
		case <-flush.C:
			r.flushActivity()
		case <-fold.C:
			r.fold()
		case <-r.closed:
			r.finish()
			return
		}
	}
}

func (r *registry) finish() {
	for o := r.next(); o != nil; o = r.next() {
		r.process(o)
	}
	r.endAll("the hub is stopping")
	for r.flushActivity() {
	}
}

// next returns the operation that has waited longest, or nil.
func (r *registry) next() *op {
	select {
	case o := <-r.queue:
		return o
	default:
		return nil
	}
}

// fold brings some rows of twins up to date. When that fails, the journal keeps
// what they lack; it is logged once until it works again.
func (r *registry) fold() {
	_, err := r.store.Fold(foldLength)
	if err != nil && !r.lagging {
		r.log.Error("twins were not moved out of the journal", "error", err)
	}
	r.lagging = err != nil
}

// process applies operations in memory, the first and what queues up behind it
// until there is nothing left to apply, commits what they wrote together, and then
// answers each in turn. With 16 writers, transactions have 15 operations: 8 when
// those who were answered just now get no moment to come back with their next
// write, and 11 when who comes while others are applied has to wait.
func (r *registry) process(first *op) {
	runtime.Gosched()
	b := newBatch(r)
	var ops []*op
	for o := first; o != nil; o = r.next() {
		b.at = r.now() // one that joined has come later than the first
		if o.err = o.given(); o.err == nil {
			o.err = o.apply(b)
		}
		b.effects = append(b.effects, func() { o.answer(o.err) })
		ops = append(ops, o)
		if len(b.effects) >= batchLength {
			break
		}
	}
	if err := b.commit(); err != nil {
		r.log.Error("a commit failed", "error", err, "operations", len(ops))
		for _, o := range ops {
			o.answer(notStored(err))
		}
		return
	}
	for _, effect := range b.effects {
		effect()
	}
}

// given returns an error when nobody waits for the operation any more.
func (o *op) given() error {
	if o.ctx == nil {
		return nil
	}
	return o.ctx.Err()
}

// record returns the committed state of a device or module.
func (r *registry) record(ctx context.Context, key twinKey) (*store.Record, error) {
	return r.recordFrom(key, func(deviceID, moduleID string) (*store.Record, error) {
		return r.store.Record(ctx, deviceID, moduleID)
	})
}

func (r *registry) recordFrom(key twinKey, read func(deviceID, moduleID string) (*store.Record, error)) (*store.Record, error) {
	rec, puts := r.cache.get(key)
	if rec != nil {
		return rec, nil
	}
	rec, err := read(key.DeviceID, key.ModuleID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, notFound(key)
	case err != nil:
		return nil, err
	}
	r.cache.offer(key, rec, puts)
	return rec, nil
}

// notStored answers for a commit that failed, without telling outsiders where
// the data lies.
func notStored(err error) error {
	reason := "its store failed"
	if data, ok := errors.AsType[*DataError](err); ok {
		reason = data.Kind.Reason()
	}
	return &explained{iothub.ErrServerError.With("the hub did not store the change: %s", reason), err}
}

// notFound is what the service answers; for a module's twin too it says
// DeviceNotFound (measured).
func notFound(key twinKey) error {
	if key.ModuleID != "" {
		return iothub.ErrDeviceNotFound.With("there is no module %s on a device %s", key.ModuleID, key.DeviceID)
	}
	return iothub.ErrDeviceNotFound.With("there is no device %s", key.DeviceID)
}
