package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"twinboard/devicesim"
	"twinboard/feed"
	"twinboard/hubclient"
	"twinboard/hubclient/fleet"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
	"twinboard/web"
)

// traceLength is how many requests and packets of a hub are kept for the
// panels that show them.
const traceLength = 2000

// hubCommand starts the local hub alone.
type hubCommand struct {
	dataFlags
	localHubFlags
}

// Run starts the hub and waits for the signal.
func (c *hubCommand) Run(e *environment) error {
	var stack closers
	hub, err := startLocalHub(e, &stack, c.Data, c.localHubFlags)
	if err != nil {
		return joinClose(err, &stack)
	}
	ready := readyLine{HTTPS: publicAddress(hub, hub.HTTPSAddr()), MQTT: publicAddress(hub, hub.MQTTAddr()), CA: hub.CAFile(), Data: c.Data}
	if err := ready.print(e.stdout); err != nil {
		return joinClose(err, &stack)
	}
	<-e.ctx.Done()
	return stack.close()
}

func startLocalHub(e *environment, stack *closers, data string, f localHubFlags) (*localhub.Hub, error) {
	https, mqtt := f.addresses()
	hub, err := localhub.New(localhub.Options{Data: data, HTTPS: https, MQTT: mqtt, HubName: f.HubName, Throttle: f.Throttle, Log: e.log})
	if err != nil {
		return nil, err
	}
	stack.add("local hub", hub.Close)
	return hub, hub.Start(e.ctx)
}

// publicAddress is the hub's name with the port really bound: what people type.
func publicAddress(hub *localhub.Hub, bound string) string {
	return hub.DeviceHostName() + bound[strings.LastIndex(bound, ":"):]
}

// connectLocal makes the dashboard's view of the local hub. It reaches the hub
// over HTTPS and MQTT like any other.
func connectLocal(e *environment, stack *closers, hub *localhub.Hub) (web.Hub, error) {
	connection, err := hub.ConnectionString("iothubowner")
	if err != nil {
		return web.Hub{}, err
	}
	w, err := connect(e, stack, "local", connection, hub.RootCAs(), hub.MQTTAddr())
	if err != nil {
		return web.Hub{}, err
	}
	w.Local = true
	w.DeviceHostName = hub.DeviceHostName()
	w.CAFile = hub.CAFile()
	w.ServiceConnection = hub.ConnectionString
	return w, nil
}

// connectRemote makes the dashboard's view of a hub given by --hub.
func connectRemote(e *environment, stack *closers, remote remoteHub, cas *x509.CertPool) (web.Hub, error) {
	w, err := connect(e, stack, remote.name, remote.connection, cas, "")
	if err != nil {
		return web.Hub{}, err
	}
	w.DeviceHostName = iothub.SplitHost(remote.connection.HostName).Host
	w.ServiceConnection = func(policy string) (iothub.ServiceConnectionString, error) {
		if policy != remote.connection.SharedAccessKeyName {
			return iothub.ServiceConnectionString{}, fmt.Errorf("the key of policy %s is known to the hub only", policy)
		}
		return remote.connection, nil
	}
	return w, nil
}

func connect(e *environment, stack *closers, slug string, connection iothub.ServiceConnectionString, cas *x509.CertPool, mqtt string) (web.Hub, error) {
	log := e.log.With(slog.String("hub", slug))
	trace := feed.New[iothub.WireEntry](traceLength)
	client, err := hubclient.New(connection, &hubclient.Options{RootCAs: cas, Log: log, Trace: trace})
	if err != nil {
		return web.Hub{}, err
	}
	stack.add("client of hub "+slug, func(context.Context) error {
		client.Close()
		return nil
	})
	picture := fleet.New(client, fleet.Options{Log: log})
	picture.Start(e.ctx)
	stack.add("picture of hub "+slug, picture.Close)
	devices := devicesim.New(devicesim.Options{MQTTAddr: mqtt, RootCAs: cas, Log: log, Trace: trace})
	stack.add("simulated devices of hub "+slug, devices.Close)
	return web.Hub{Slug: slug, Name: slug, HostName: connection.HostName, Client: client, Fleet: picture, Sim: devices, Trace: trace}, nil
}

// readCAs reads the certificates of --hub-ca; nil means the system's.
func readCAs(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		return nil, &mistake{id: "cli.hub-ca", args: []any{"Path", file}, err: err}
	}
	return pool, nil
}

// connectionStringCommand prints one connection string.
type connectionStringCommand struct {
	dataFlags
	Policy string `help:"Shared access policy." default:"iothubowner"`
	Device string `help:"Device id: print the device's connection string instead." placeholder:"ID"`
	Create bool   `help:"Create what does not exist: the device, for which the hub must be running, or the policy with its --rights."`
	Rights string `help:"Rights of the policy to create, with commas between: registryRead, registryWrite, serviceConnect, deviceConnect." placeholder:"RIGHTS"`
}

// Run prints the connection string; it works whether or not the hub runs.
func (c *connectionStringCommand) Run(e *environment) error {
	if c.Rights != "" && (!c.Create || c.Device != "") {
		return &mistake{id: "cli.rights.alone"}
	}
	if c.Device == "" {
		if err := c.createPolicy(e.ctx); err != nil {
			return err
		}
		s, err := localhub.ReadConnectionString(c.Data, c.Policy)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(e.stdout, s)
		return err
	}
	if c.Create {
		if err := c.create(e.ctx); err != nil {
			return err
		}
	}
	s, err := localhub.ReadDeviceConnectionString(e.ctx, c.Data, c.Device)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, s)
	return err
}

func (c *connectionStringCommand) createPolicy(ctx context.Context) error {
	switch {
	case !c.Create:
		return nil
	case c.Rights == "":
		return &mistake{id: "cli.create.alone"}
	}
	return localhub.CreatePolicy(ctx, c.Data, c.Policy, c.Rights)
}

func (c *connectionStringCommand) create(ctx context.Context) error {
	client, err := localClient(c.Data)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err = ensureDevice(ctx, client, c.Device)
	if _, ok := errors.AsType[*hubclient.ConnectionError](err); ok {
		return &mistake{id: "cli.create", args: []any{"Path", c.Data}, err: err}
	}
	return err
}

// localClient reaches the local hub that runs on a data folder.
func localClient(data string) (*hubclient.Client, error) {
	connection, err := localhub.ReadConnectionString(data, "iothubowner")
	if err != nil {
		return nil, err
	}
	cas, err := readCAs(localhub.CAFile(data))
	if err != nil {
		return nil, err
	}
	return hubclient.New(connection, &hubclient.Options{RootCAs: cas})
}

// ensureDevice returns the identity, made first if it is missing.
func ensureDevice(ctx context.Context, client *hubclient.Client, id string) (iothub.Device, error) {
	device, err := client.GetDevice(ctx, id)
	if !isNotFound(err) {
		return device, err
	}
	return client.CreateDevice(ctx, iothub.Device{DeviceID: id, Status: iothub.StatusEnabled})
}

// caCommand prints where the CA certificate is.
type caCommand struct {
	dataFlags
}

// Run prints the path; the file is there once a hub was started on the folder.
func (c *caCommand) Run(e *environment) error {
	file := localhub.CAFile(c.Data)
	if _, err := os.Stat(file); err != nil {
		return &mistake{id: "cli.ca", args: []any{"Path", c.Data}, err: err}
	}
	_, err := fmt.Fprintln(e.stdout, file)
	return err
}

// versionCommand prints the version.
type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(e *environment) error {
	_, err := fmt.Fprintln(e.stdout, "twinboard "+version)
	return err
}
