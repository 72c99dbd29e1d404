package web

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// lessonPolicy is the shared access policy that the tutorial has people create.
const lessonPolicy = "serviceAndRegistryRead"

// The tutorial's two queries.
const (
	lessonPlantQuery    = "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'"
	lessonCellularQuery = lessonPlantQuery + " AND properties.reported.connectivity = 'cellular'"
)

// lessonPatch is what the tutorial's service app writes.
func lessonPatch() iothub.TwinPatch {
	return iothub.TwinPatch{
		Tags:    iothub.Document{"location": map[string]any{"region": "US", "plant": "Redmond43"}},
		Desired: iothub.Document{"power_level": json.Number("1")},
	}
}

// verdict says whether the hub's state proves a step; why is the message that
// says what is missing.
type verdict struct {
	done bool
	at   time.Time // when it came true; zero for just now
	why  string
	args []any
}

func missing(why string, args ...any) verdict { return verdict{why: why, args: args} }

// judge looks whether a step is proven, however the person got there. What was
// proven once stays so: later steps change the state that proved it.
func (s *Server) judge(ctx context.Context, w walk, n int) (verdict, error) {
	if _, proven := w.done[n]; proven {
		return verdict{done: true}, nil
	}
	judges := map[int]func(context.Context, walk) (verdict, error){
		2: judgeRegistered, 3: judgeUpdated, 4: judgeQueried, 5: judgeReported, 6: judgePatched,
	}
	look, ok := judges[n]
	if !ok {
		return missing(fmt.Sprintf("learn.%d.wait", n)), nil
	}
	v, err := look(hubclient.Untraced(ctx), w)
	if err != nil || !v.done {
		return v, err
	}
	return v, s.remember(ctx, w, n, v.at)
}

// judgeUpTo judges a step and, before it, those that are still open: a person
// may have done them elsewhere.
func (s *Server) judgeUpTo(ctx context.Context, w walk, n int) (v verdict, err error) {
	for i := 1; i <= n && err == nil; i++ {
		v, err = s.judge(ctx, w, i)
	}
	return v, err
}

func judgeRegistered(ctx context.Context, w walk) (verdict, error) {
	_, err := w.hub.Client.GetDevice(ctx, w.device)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return missing("learn.2.wait", "Device", w.device), nil
	}
	return verdict{done: err == nil}, err
}

func judgeUpdated(ctx context.Context, w walk) (verdict, error) {
	twin, err := w.hub.Client.GetTwin(ctx, w.device)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return missing("learn.no-device", "Device", w.device), nil
	}
	if err != nil {
		return verdict{}, err
	}
	if !hasLessonValues(twin) {
		return missing("learn.3.wait", "Device", w.device), nil
	}
	return verdict{done: true}, nil
}

func hasLessonValues(twin *iothub.Twin) bool {
	patch := lessonPatch()
	return len(iothub.Diff(twin.Tags, iothub.Merge(twin.Tags, patch.Tags))) == 0 &&
		equalAt(twin.Properties.Desired.Value, patch.Desired, "power_level")
}

func equalAt(a, b iothub.Document, key string) bool {
	v, ok := a[key]
	return ok && iothub.Equal(v, b[key])
}

// judgeQueried needs that both queries were run, here or elsewhere in the
// dashboard, and runs them again to see what they find.
func judgeQueried(ctx context.Context, w walk) (verdict, error) {
	if !w.ran(lessonPlantQuery, w.started) || !w.ran(lessonCellularQuery, w.started) {
		return missing("learn.4.wait"), nil
	}
	inPlant, onCellular, err := w.find(ctx, w.hub.Client)
	switch {
	case err != nil:
		return verdict{}, err
	case !inPlant:
		return missing("learn.4.none", "Device", w.device), nil
	case onCellular:
		return missing("learn.4.both", "Device", w.device), nil
	}
	return verdict{done: true}, nil
}

func judgeReported(ctx context.Context, w walk) (verdict, error) {
	twin, err := w.hub.Client.GetTwin(ctx, w.device)
	if errors.Is(err, iothub.ErrDeviceNotFound) {
		return missing("learn.no-device", "Device", w.device), nil
	}
	if err != nil {
		return verdict{}, err
	}
	reported := twin.Properties.Reported
	value, ok := reported.Value["connectivity"]
	at := reported.Metadata.At(iothub.Path{"connectivity"}).LastUpdated.Time
	switch {
	case !ok || at.Before(w.started):
		return missing("learn.5.wait", "Device", w.device), nil
	case value != "cellular":
		return missing("learn.5.other", "Device", w.device, "Value", value), nil
	}
	return verdict{done: true, at: at}, nil
}

// judgePatched needs a PUBLISH on the desired-patch topic that the device really
// received after it had reported; that the twin reads back right proves nothing.
func judgePatched(ctx context.Context, w walk) (verdict, error) {
	since, reported := w.done[5]
	if !reported {
		return missing("learn.6.first"), nil
	}
	if !w.received(since) {
		return missing("learn.6.wait", "Device", w.device), nil
	}
	if !w.ran(lessonPlantQuery, since) || !w.ran(lessonCellularQuery, since) {
		return missing("learn.6.queries"), nil
	}
	inPlant, onCellular, err := w.find(ctx, w.hub.Client)
	if err != nil {
		return verdict{}, err
	}
	if !inPlant || !onCellular {
		return missing("learn.6.not-both", "Device", w.device), nil
	}
	return verdict{done: true}, nil
}

// find runs the two queries and looks for the device.
func (w walk) find(ctx context.Context, client *hubclient.Client) (inPlant, onCellular bool, err error) {
	if inPlant, err = finds(ctx, client, lessonPlantQuery, w.device); err != nil {
		return false, false, err
	}
	onCellular, err = finds(ctx, client, lessonCellularQuery, w.device)
	return inPlant, onCellular, err
}

func finds(ctx context.Context, client *hubclient.Client, query, id string) (bool, error) {
	for pager := client.NewQueryPager(query, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return false, err
		}
		for _, row := range page.Rows {
			var twin struct{ DeviceID string }
			if err := json.Unmarshal(row, &twin); err != nil {
				return false, fmt.Errorf("query row: %w", err)
			}
			if twin.DeviceID == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// doStep does a step for the person, with the same requests as the tutorial's
// apps.
func (s *Server) doStep(ctx context.Context, w walk, n int) error {
	switch n {
	case 2:
		return registerLessonDevice(ctx, w)
	case 3:
		return withLessonClient(w, func(c *hubclient.Client) error { return updateTwin(ctx, w, c) })
	case 5:
		return startDeviceApp(ctx, w)
	case 6:
		return s.runAgain(ctx, w)
	}
	return s.tryStep(ctx, w, n)
}

// tryStep does the requests that prove a step where looking alone does not.
func (s *Server) tryStep(ctx context.Context, w walk, n int) error {
	switch n {
	case 1:
		if err := withLessonClient(w, func(c *hubclient.Client) error { return askHub(ctx, c) }); err != nil {
			return err
		}
		return s.remember(ctx, w, n, time.Time{})
	case 4, 6:
		return withLessonClient(w, func(c *hubclient.Client) error {
			_, _, err := w.find(ctx, c)
			return err
		})
	case lessonSteps:
		return s.remember(ctx, w, n, time.Time{})
	}
	return nil
}

// withLessonClient reaches the hub with the tutorial's own policy, as its
// service app does.
func withLessonClient(w walk, do func(*hubclient.Client) error) error {
	cs, err := w.hub.ServiceConnection(lessonPolicy)
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(w.hub.CAFile)
	if err != nil {
		return fmt.Errorf("the hub's CA: %w", err)
	}
	cas := x509.NewCertPool()
	cas.AppendCertsFromPEM(pem)
	client, err := hubclient.New(cs, &hubclient.Options{RootCAs: cas, Trace: w.hub.Trace})
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// askHub shows that the policy may read the registry and use the service.
func askHub(ctx context.Context, c *hubclient.Client) error {
	if _, err := c.Statistics(ctx); err != nil {
		return err
	}
	_, err := c.QueryPage(ctx, "SELECT * FROM devices", "", 1)
	return err
}

func registerLessonDevice(ctx context.Context, w walk) error {
	_, err := w.hub.Client.CreateDevice(ctx, iothub.Device{DeviceID: w.device, Status: iothub.StatusEnabled})
	if errors.Is(err, iothub.ErrDeviceAlreadyExists) {
		return nil
	}
	return err
}

// updateTwin is the service app's update: with the etag of the twin it read.
func updateTwin(ctx context.Context, w walk, c *hubclient.Client) error {
	twin, err := c.GetTwin(ctx, w.device)
	if err != nil {
		return err
	}
	_, err = c.UpdateTwin(ctx, w.device, lessonPatch(), &hubclient.UpdateTwinOptions{IfMatch: twin.ETag})
	return err
}

// startDeviceApp starts the device app: it reads its twin and reports cellular.
func startDeviceApp(ctx context.Context, w walk) error {
	device, err := w.hub.Client.GetDevice(ctx, w.device)
	if err != nil {
		return err
	}
	err = w.hub.Sim.Start(ctx, devicesim.Spec{
		ConnectionString: iothub.DeviceConnectionString{
			HostName: w.hub.DeviceHostName, DeviceID: w.device,
			SharedAccessKey: device.Authentication.SymmetricKey.Primary,
		},
		Connectivity: "cellular",
	})
	if errors.Is(err, devicesim.ErrRunning) {
		return w.hub.Sim.SetConnectivity(ctx, w.device, "cellular")
	}
	return err
}

// patchPatience is how long "show me" waits for the device to get the patch.
const patchPatience = 5 * time.Second

// runAgain runs the service app again whole: update, then both queries. The
// device app must be running to receive the patch, so it is started if need be.
func (s *Server) runAgain(ctx context.Context, w walk) error {
	if _, reported := w.done[5]; !reported {
		return nil // the step says that step 5 comes first
	}
	if d, ok := w.hub.Sim.Device(w.device); !ok || d.State != devicesim.Online {
		if err := startDeviceApp(ctx, w); err != nil {
			return err
		}
	}
	_, events, _ := w.hub.Sim.Events().Subscribe(w.hub.Sim.Events().Last())
	defer events.Close()
	return withLessonClient(w, func(c *hubclient.Client) error {
		if err := updateTwin(ctx, w, c); err != nil {
			return err
		}
		w.awaitPatch(ctx, events.C())
		_, _, err := w.find(ctx, c)
		return err
	})
}

// ran reports whether the dashboard sent a query since a moment.
func (w walk) ran(query string, since time.Time) bool {
	return len(w.hub.Trace.Recent(1, func(e iothub.WireEntry) bool {
		return !e.Time.Before(since) && sentQuery(e) == query
	})) > 0
}

// sentQuery is the text of a query request that was answered, white space made
// even; "" for every other entry.
func sentQuery(e iothub.WireEntry) string {
	if e.Protocol != "HTTP" || e.Status != 200 || !strings.Contains(e.URL, "/devices/query?") {
		return ""
	}
	var body struct{ Query string }
	if json.Unmarshal([]byte(e.RequestBody), &body) != nil {
		return ""
	}
	return strings.Join(strings.Fields(body.Query), " ")
}

// received reports whether the device got the update as a desired patch since a
// moment.
func (w walk) received(since time.Time) bool {
	return len(w.hub.Trace.Recent(1, func(e iothub.WireEntry) bool {
		return !e.Time.Before(since) && w.isPatch(e)
	})) > 0
}

func (w walk) isPatch(e iothub.WireEntry) bool {
	if e.Protocol != "MQTT" || e.Packet != "PUBLISH" || e.Outgoing || e.DeviceID != w.device {
		return false
	}
	topic, err := iothub.ParseReceived(e.Topic)
	if err != nil || topic.Kind != iothub.TopicDesired {
		return false
	}
	patch, err := iothub.ParseDocument([]byte(e.Payload))
	return err == nil && equalAt(patch, lessonPatch().Desired, "power_level")
}

// awaitPatch waits until the device app has applied a patch; the step's own
// judgement says so if none comes.
func (w walk) awaitPatch(ctx context.Context, events <-chan feed.Item[devicesim.Event]) {
	ctx, cancel := context.WithTimeout(ctx, patchPatience)
	defer cancel()
	for {
		select {
		case item, open := <-events:
			if !open || item.Value.DeviceID == w.device && item.Value.Kind == devicesim.KindPatch {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
