package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub"
	"twinboard/static"
	"twinboard/web"
	"twinboard/web/store"
)

// serveCommand starts the dashboard.
type serveCommand struct {
	dataFlags
	localHubFlags
	Listen string   `help:"Address of the dashboard; loopback only." placeholder:"ADDRESS" default:"127.0.0.1:8080" env:"TWINBOARD_LISTEN"`
	Hubs   []string `name:"hub" sep:"none" help:"Manage this hub instead of a local one: a connection string, or @FILE with one in it (better: arguments show in the process list). NAME=… names it. Repeatable." placeholder:"CONNECTION" env:"TWINBOARD_HUB"`
	HubCA  string   `name:"hub-ca" help:"Trust the CA certificates in this file for --hub." placeholder:"FILE" type:"path"`
	Demo   int      `help:"Start with this many simulated devices and sample tags." placeholder:"N"`
	Static string   `help:"Read styles and scripts from this folder on each request, for development." hidden:"" type:"existingdir"`
}

// Run starts everything, prints the ready line and waits for the signal.
func (c *serveCommand) Run(e *environment) error {
	if err := checkLoopback("--listen", c.Listen); err != nil {
		return err
	}
	if c.Static != "" {
		static.FromDisk(c.Static)
	}
	var stack closers
	ready, hubs, err := c.start(e, &stack)
	if err != nil {
		return joinClose(err, &stack)
	}
	if err := ready.print(e.stdout); err != nil {
		return joinClose(err, &stack)
	}
	if c.Demo > 0 {
		demo := startDemo(e, hubs[0], c.Demo)
		stack.add("demo", demo)
	}
	<-e.ctx.Done()
	return stack.close()
}

// joinClose stops what was started before a failure.
func joinClose(err error, stack *closers) error {
	return errors.Join(err, stack.close())
}

func (c *serveCommand) start(e *environment, stack *closers) (readyLine, []web.Hub, error) {
	ready := readyLine{Data: c.Data}
	if err := makeDataFolder(c.Data); err != nil {
		return ready, nil, err
	}
	hubs, err := c.connectHubs(e, stack, &ready)
	if err != nil {
		return ready, nil, err
	}
	memory, err := store.Open(e.ctx, filepath.Join(c.Data, "dashboard.db"))
	if err != nil {
		return ready, nil, err
	}
	stack.add("dashboard's store", func(context.Context) error { return memory.Close() })
	dashboard, err := web.New(web.Options{Hubs: hubs, Store: memory, Log: e.log, Version: version})
	if err != nil {
		return ready, nil, err
	}
	if ready.Dashboard, err = listen(e, stack, c.Listen, dashboard); err != nil {
		return ready, nil, err
	}
	dashboard.Start(e.ctx)
	return ready, hubs, nil
}

func makeDataFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &mistake{id: "cli.folder", args: []any{"Path", dir}, err: err}
	}
	return nil
}

func (c *serveCommand) connectHubs(e *environment, stack *closers, ready *readyLine) ([]web.Hub, error) {
	if len(c.Hubs) == 0 {
		hub, err := startLocalHub(e, stack, c.Data, c.localHubFlags)
		if err != nil {
			return nil, err
		}
		ready.HTTPS, ready.MQTT, ready.CA = publicAddress(hub, hub.HTTPSAddr()), publicAddress(hub, hub.MQTTAddr()), hub.CAFile()
		w, err := connectLocal(e, stack, hub)
		return []web.Hub{w}, err
	}
	cas, err := readCAs(c.HubCA)
	if err != nil {
		return nil, err
	}
	var hubs []web.Hub
	seen := map[string]bool{}
	for _, value := range c.Hubs {
		remote, err := parseHub(value)
		if err != nil {
			return nil, err
		}
		if seen[remote.name] {
			return nil, &mistake{id: "cli.hub.same-name", args: []any{"Name", remote.name}}
		}
		seen[remote.name] = true
		w, err := connectRemote(e, stack, remote, cas)
		if err != nil {
			return nil, err
		}
		hubs = append(hubs, w)
	}
	return hubs, nil
}

// listen serves the dashboard and returns its address.
func listen(e *environment, stack *closers, address string, dashboard *web.Server) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(e.ctx, "tcp", address)
	if err != nil {
		return "", &localhub.ListenError{Address: address, Option: "--listen", Err: err}
	}
	// Open event streams would make Shutdown wait: they end with this context.
	base, cancel := context.WithCancel(context.WithoutCancel(e.ctx))
	server := &http.Server{
		Handler:           dashboard.Handler(),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	stack.add("dashboard", func(ctx context.Context) error {
		cancel()
		return errors.Join(server.Shutdown(ctx), dashboard.Close(ctx))
	})
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			e.log.Error("dashboard stopped serving", "error", err)
		}
	}()
	return "http://" + l.Addr().String(), nil
}

func isNotFound(err error) bool { return errors.Is(err, iothub.ErrDeviceNotFound) }
