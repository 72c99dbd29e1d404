package localhub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"twinboard/feed"
	"twinboard/hubclient/iothub"
)

// Options say where a hub keeps its data and listens.
type Options struct {
	Data    string // the data folder; made when missing
	HTTPS   string // address of the service API; default 127.0.0.1:8443, port 0 picks a free one
	MQTT    string // address for devices; default 127.0.0.1:8883
	HubName string // another host name for the certificate and the connection strings, or ""
	Log     *slog.Logger
	Now     func() time.Time // default time.Now
}

// Hub is an IoT Hub on this machine. Make one with New.
type Hub struct {
	options  Options
	log      *slog.Logger
	now      func() time.Time
	changes  *feed.Feed[iothub.Change]
	registry *registry
	policies policies

	mqtt *mqttServer // made before rest, which hands it WebSocket connections
	rest *restServer

	mu          sync.Mutex
	https, port net.Listener
}

// New opens the data folder, which no other process may use meanwhile: the
// store, the private CA and the keys. The error is a *DataError when the folder
// is at fault.
func New(o Options) (*Hub, error) { return nil, errors.New("not yet") }

// Start binds the two listeners, so that a taken port is an error here, and
// serves until Close.
func (h *Hub) Start(ctx context.Context) error { return errors.New("not yet") }

// Close stops serving, ends every connection and closes the data folder. It may
// be called twice.
func (h *Hub) Close(ctx context.Context) error { return nil }

// serverTLS is the configuration both servers use; GetCertificate renews the
// leaf. Each server is given a plain TCP listener and wraps it itself.
func (h *Hub) serverTLS() *tls.Config { return nil }

// isOurHost reports whether a host name in a token or user name, with or
// without a port, means this hub.
func (h *Hub) isOurHost(host string) bool { return false }

// RootCAs holds the hub's CA certificate, for clients.
func (h *Hub) RootCAs() *x509.CertPool { return nil }
