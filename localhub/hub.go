package localhub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// Where a hub listens unless told otherwise.
const (
	DefaultHTTPS = "127.0.0.1:8443"
	DefaultMQTT  = "127.0.0.1:8883"
)

// Options say where a hub keeps its data and listens.
type Options struct {
	Data    string // the data folder; made when missing
	HTTPS   string // address of the service API; default DefaultHTTPS, port 0 picks a free one
	MQTT    string // address for devices; default DefaultMQTT
	HubName string // another host name for the certificate and the connection strings, or ""
	// Throttle is the tier whose throttles hold: F1, S1, S2 or S3; "" is none.
	Throttle string
	Log      *slog.Logger
	Now      func() time.Time // default time.Now
}

// DataError says what is wrong with the data folder or a file in it, in
// sentences for the person who can mend it.
type DataError = store.DataError

// Hub is an IoT Hub on this machine. Make one with New.
type Hub struct {
	options  Options
	log      *slog.Logger
	now      func() time.Time
	changes  *feed.Feed[iothub.Change]
	registry *registry
	jobs     *scheduler
	policies policies
	tokens   *tokens
	ca       *authority
	store    *store.Store
	lock     *folderLock
	throttle *throttle // nil lets everything pass

	mqtt *mqttServer // made before rest, which hands it WebSocket connections
	rest *restServer

	mu       sync.Mutex // guards the policies and the addresses
	https    string     // as really bound, "" before Start
	mqttAddr string

	closing  sync.Once
	closeErr error
}

// New opens the data folder, which no other process may use meanwhile: the
// store, the private CA and the keys. The error is a *DataError when the folder
// is at fault.
func New(o Options) (*Hub, error) {
	h := &Hub{options: o, log: o.Log, now: o.Now, changes: newChanges(), tokens: newTokens()}
	if h.options.HTTPS == "" {
		h.options.HTTPS = DefaultHTTPS
	}
	if h.options.MQTT == "" {
		h.options.MQTT = DefaultMQTT
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now
	}
	var err error
	if h.throttle, err = newThrottle(o.Throttle, h.now); err != nil {
		return nil, err
	}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.closeData())
	}
	return h, nil
}

func (h *Hub) open() error {
	ctx := context.Background()
	// Only its owner may look into a folder with keys.
	if err := os.MkdirAll(h.options.Data, 0o700); err != nil {
		return store.FileError(h.options.Data, err)
	}
	var err error
	if h.lock, err = lockFolder(h.options.Data); err != nil {
		return err
	}
	if h.store, err = store.Open(ctx, storeFile(h.options.Data)); err != nil {
		return err
	}
	if h.ca, err = openAuthority(h.options.Data, h.hostNames(), h.now); err != nil {
		return err
	}
	if h.policies, err = openPolicies(ctx, h.store); err != nil {
		return err
	}
	if h.registry, err = newRegistry(ctx, h.store, h.changes, h.log, h.now); err != nil {
		return err
	}
	h.jobs = newScheduler(h.registry, h.throttle, iothub.TierJobs(h.options.Throttle))
	if h.mqtt, err = newMQTTServer(h); err != nil {
		return err
	}
	h.rest = newRESTServer(h)
	return nil
}

func storeFile(data string) string { return filepath.Join(data, "hub.db") }

// Start binds the two listeners, so that a taken port is an error here, a
// *ListenError, and serves until Close.
func (h *Hub) Start(ctx context.Context) error {
	https, err := listen(ctx, h.options.HTTPS, "--hub-https")
	if err != nil {
		return err
	}
	devices, err := listen(ctx, h.options.MQTT, "--hub-mqtt")
	if err != nil {
		return errors.Join(err, https.Close())
	}
	h.mu.Lock()
	h.https, h.mqttAddr = https.Addr().String(), devices.Addr().String()
	h.mu.Unlock()
	if err := h.serve(https, devices); err != nil {
		return errors.Join(err, https.Close(), devices.Close())
	}
	h.log.Info("hub started", "https", h.HTTPSAddr(), "mqtt", h.MQTTAddr())
	return nil
}

func (h *Hub) serve(https, devices net.Listener) error {
	if err := h.rememberEndpoints(); err != nil {
		return err
	}
	if err := h.mqtt.start(devices); err != nil {
		return fmt.Errorf("serve mqtt: %w", err)
	}
	h.rest.start(https)
	h.jobs.start()
	return nil
}

// Close stops serving, ends every connection and closes the data folder. It may
// be called twice.
func (h *Hub) Close(ctx context.Context) error {
	h.closing.Do(func() {
		err := h.rest.close(ctx)
		h.jobs.close()
		// The registry ends the devices' sessions, so it goes before their server.
		h.registry.close()
		h.closeErr = errors.Join(err, h.mqtt.close(ctx), h.closeData())
	})
	return h.closeErr
}

func (h *Hub) closeData() error {
	var errs []error
	if h.registry != nil {
		h.registry.close()
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	if h.lock != nil {
		errs = append(errs, h.lock.release())
	}
	return errors.Join(errs...)
}

// HTTPSAddr is the address of the service API, host and port as bound; ""
// before Start.
func (h *Hub) HTTPSAddr() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.https
}

// MQTTAddr is the address for devices, host and port as bound; "" before Start.
func (h *Hub) MQTTAddr() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mqttAddr
}

// CAFile is the path of the CA certificate that clients must trust.
func (h *Hub) CAFile() string { return CAFile(h.options.Data) }

// RootCAs holds the hub's CA certificate, for clients in this process.
func (h *Hub) RootCAs() *x509.CertPool { return h.ca.pool() }

// DeviceHostName is the host name in the hub's connection strings.
func (h *Hub) DeviceHostName() string { return hostName(h.options.HubName) }

// ConnectionString is how a back end reaches this hub with one of its
// policies, after Start.
func (h *Hub) ConnectionString(name string) (iothub.ServiceConnectionString, error) {
	p, err := h.policiesWith(context.Background(), name)
	if err != nil {
		return iothub.ServiceConnectionString{}, err
	}
	return p.connectionString(name, h.endpoints())
}

// serverTLS is the configuration both servers use; GetCertificate renews the
// leaf. Each server is given a plain TCP listener and wraps it itself.
func (h *Hub) serverTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: h.ca.certificate}
}

// hostNames are the names the hub answers to.
func (h *Hub) hostNames() []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if h.options.HubName != "" {
		names = append(names, h.options.HubName)
	}
	return names
}

// isOurHost reports whether a host name in a token or user name, with or
// without a port, means this hub.
func (h *Hub) isOurHost(host string) bool {
	host = iothub.SplitHost(host).Host
	for _, name := range h.hostNames() {
		if strings.EqualFold(host, name) {
			return true
		}
	}
	return false
}

func hostName(hubName string) string {
	if hubName == "" {
		return "localhost"
	}
	return hubName
}

// ListenError means that an address cannot be listened on; its text is for the
// person who chose it.
type ListenError struct {
	Address string
	Option  string // the option of the command line that changes it
	Err     error
}

func (e *ListenError) Error() string {
	// What Windows calls EADDRINUSE.
	const windowsInUse = syscall.Errno(10048)
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE), errors.Is(e.Err, windowsInUse):
		return fmt.Sprintf("%s is taken by another program. Stop that program, or choose another address with %s.", e.Address, e.Option)
	case errors.Is(e.Err, os.ErrPermission):
		return fmt.Sprintf("This account may not listen on %s. Ports below 1024 often need more rights; choose another address with %s.", e.Address, e.Option)
	}
	return fmt.Sprintf("%s cannot be listened on. Choose another address with %s. (%v)", e.Address, e.Option, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

func listen(ctx context.Context, address, option string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &ListenError{Address: address, Option: option, Err: err}
	}
	return ln, nil
}
