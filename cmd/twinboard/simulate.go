package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"twinboard/devicesim"
	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
	"twinboard/web"
)

// startsAtOnce bounds how many devices are registered and connected at a time:
// the more, the more of what they write the hub commits together.
const startsAtOnce = 32

// simulateCommand runs simulated devices without the dashboard.
type simulateCommand struct {
	dataFlags
	Hub     string `help:"Connection string of the hub, or @FILE; default: the local hub that runs on the data folder." placeholder:"CONNECTION" env:"TWINBOARD_HUB"`
	HubCA   string `name:"hub-ca" help:"Trust the CA certificates in this file for --hub." placeholder:"FILE" type:"path"`
	Count   int    `help:"How many devices." default:"10"`
	Prefix  string `help:"Device ids are the prefix and a number." default:"sim-"`
	Profile string `help:"Network of the devices: cellular, wifi, ethernet, mixed, or switching, which is mixed and changes now and then." enum:"cellular,wifi,ethernet,mixed,switching" default:"mixed"`
	Seed    uint64 `help:"What is drawn by chance; the same seed gives the same devices." default:"1"`
	Shard   string `help:"Run part i of n of the devices, for several machines." placeholder:"I/N" default:"1/1"`
}

// Run registers the devices that are missing, starts all of this shard and
// waits for the signal.
func (c *simulateCommand) Run(e *environment) error {
	devices, err := c.devices()
	if err != nil {
		return err
	}
	t, err := c.target(e)
	if err != nil {
		return err
	}
	var stack closers
	stack.add("simulated devices", t.sim.Close)
	p := profile{c.Profile, c.Seed}
	started := startDevices(e.ctx, e.log, t, p, devices)
	if started == 0 && len(devices) > 0 && e.ctx.Err() == nil {
		return joinClose(&mistake{id: "cli.none-started"}, &stack)
	}
	e.log.InfoContext(e.ctx, "simulated devices run", slog.Int("devices", started), slog.Int("wanted", len(devices)))
	p.move(e.ctx, e.log, t.sim, devices)
	<-e.ctx.Done()
	return stack.close()
}

// numbered is a device to simulate. Its number is the same in every shard.
type numbered struct {
	number int
	id     string
}

// devices lists those of this shard: device k belongs to shard k mod n.
func (c *simulateCommand) devices() ([]numbered, error) {
	first, of, ok := strings.Cut(c.Shard, "/")
	i, errI := strconv.Atoi(first)
	n, errN := strconv.Atoi(of)
	if !ok || errI != nil || errN != nil || i < 1 || n < 1 || i > n {
		return nil, &mistake{id: "cli.shard", args: []any{"Value", c.Shard}}
	}
	if err := iothub.CheckDeviceID(c.Prefix + strconv.Itoa(c.Count)); err != nil {
		return nil, &mistake{id: "cli.prefix", args: []any{"Value", c.Prefix}, err: err}
	}
	var devices []numbered
	for k := i; k <= c.Count; k += n {
		devices = append(devices, numbered{k, c.Prefix + strconv.Itoa(k)})
	}
	return devices, nil
}

// target is where simulated devices go.
type target struct {
	client   *hubclient.Client
	sim      *devicesim.Fleet
	hostName string
}

func (c *simulateCommand) target(e *environment) (target, error) {
	if c.Hub == "" {
		return c.localTarget(e)
	}
	remote, err := parseHub(c.Hub)
	if err != nil {
		return target{}, err
	}
	cas, err := readCAs(c.HubCA)
	if err != nil {
		return target{}, err
	}
	client, err := hubclient.New(remote.connection, &hubclient.Options{RootCAs: cas, Log: e.log})
	if err != nil {
		return target{}, err
	}
	host := iothub.SplitHost(remote.connection.HostName).Host
	return target{client, devicesim.New(devicesim.Options{RootCAs: cas, Log: e.log}), host}, nil
}

func (c *simulateCommand) localTarget(e *environment) (target, error) {
	endpoints, err := localhub.ReadEndpoints(c.Data)
	if err != nil {
		return target{}, err
	}
	client, err := localClient(c.Data)
	if err != nil {
		return target{}, err
	}
	cas, err := readCAs(localhub.CAFile(c.Data))
	if err != nil {
		return target{}, err
	}
	sim := devicesim.New(devicesim.Options{MQTTAddr: endpoints.MQTT, RootCAs: cas, Log: e.log})
	return target{client, sim, endpoints.HostName}, nil
}

// startDevices starts the devices, some at a time, and returns how many run.
func startDevices(ctx context.Context, log *slog.Logger, t target, p profile, devices []numbered) int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	started := 0
	next := make(chan numbered)
	for range startsAtOnce {
		wg.Go(func() {
			for d := range next {
				if err := t.start(ctx, p, d); err != nil {
					log.WarnContext(ctx, "simulated device not started", slog.String("device_id", d.id), slog.Any("error", err))
					continue
				}
				mu.Lock()
				started++
				mu.Unlock()
			}
		})
	}
	for _, d := range devices {
		if ctx.Err() != nil {
			break
		}
		next <- d
	}
	close(next)
	wg.Wait()
	return started
}

func (t target) start(ctx context.Context, p profile, d numbered) error {
	device, err := ensureDevice(ctx, t.client, d.id)
	if err != nil {
		return err
	}
	spec := devicesim.Spec{ConnectionString: iothub.DeviceConnectionString{
		HostName: t.hostName, DeviceID: d.id, SharedAccessKey: device.Authentication.SymmetricKey.Primary,
	}}
	p.behave(d.number, &spec)
	return t.sim.Start(ctx, spec)
}

// demoSeed draws the demo's devices.
const demoSeed = 1

// demoSites give the demo's devices tags to query.
var demoSites = []struct{ region, plant string }{{"US", "Redmond43"}, {"US", "Redmond17"}, {"EU", "Oslo2"}, {"EU", "Madrid5"}}

// startDemo starts devices with sample tags in the background and returns what
// waits for it to end.
func startDemo(e *environment, hub web.Hub, count int) func(context.Context) error {
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := target{hub.Client, hub.Sim, hub.DeviceHostName}
		devices := make([]numbered, count)
		for k := range devices {
			devices[k] = numbered{k + 1, fmt.Sprintf("demo-%02d", k+1)}
		}
		running := startDevices(ctx, e.log, t, profile{profileMixed, demoSeed}, devices)
		for k, d := range devices {
			if err := tagDemo(ctx, t.client, d.id, k); err != nil && ctx.Err() == nil {
				e.log.WarnContext(ctx, "sample tags not written", slog.String("device_id", d.id), slog.Any("error", err))
			}
		}
		e.log.InfoContext(ctx, "demo devices run", slog.Int("devices", running))
	}()
	return func(stop context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stop.Done():
			return stop.Err()
		}
	}
}

// tagDemo writes the sample tags of a device that has none yet.
func tagDemo(ctx context.Context, client *hubclient.Client, id string, k int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	twin, err := client.GetTwin(ctx, id)
	if err != nil || len(twin.Tags) > 0 {
		return err
	}
	site := demoSites[k%len(demoSites)]
	patch := iothub.TwinPatch{
		Tags:    iothub.Document{"location": map[string]any{"region": site.region, "plant": site.plant}},
		Desired: iothub.Document{"power_level": json.Number(strconv.Itoa(1 + k%3))},
	}
	_, err = client.UpdateTwin(ctx, id, patch, &hubclient.UpdateTwinOptions{IfMatch: twin.ETag})
	return err
}
