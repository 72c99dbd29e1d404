package localhub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// Endpoints is what a data folder remembers of where its hub listened last, so
// that connection strings can be printed by another process.
type Endpoints struct {
	HTTPS    string `json:"https"` // host:port
	MQTT     string `json:"mqtt"`
	HostName string `json:"hostName"` // what devices call the hub
}

func (h *Hub) endpoints() Endpoints {
	return Endpoints{HTTPS: h.HTTPSAddr(), MQTT: h.MQTTAddr(), HostName: h.DeviceHostName()}
}

func endpointsFile(data string) string { return filepath.Join(data, "endpoints.json") }

func (h *Hub) rememberEndpoints() error {
	b, err := json.MarshalIndent(h.endpoints(), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(endpointsFile(h.options.Data), append(b, '\n'))
}

// ReadEndpoints reads where the hub of a data folder listens, or listened last.
// The error is a *DataError when no hub was ever started on the folder.
func ReadEndpoints(data string) (Endpoints, error) {
	path := endpointsFile(data)
	b, err := os.ReadFile(path)
	if err != nil {
		return Endpoints{}, store.FileError(path, err)
	}
	var e Endpoints
	if err := json.Unmarshal(b, &e); err != nil {
		return e, &DataError{Kind: store.Corrupt, Path: path, Err: err}
	}
	return e, nil
}

// serviceHost is the HostName of a service connection string: with the port
// really bound, unless it is the one everybody expects.
func (e Endpoints) serviceHost() string {
	_, port, err := net.SplitHostPort(e.HTTPS)
	if err != nil || port == "443" {
		return e.HostName
	}
	return net.JoinHostPort(e.HostName, port)
}

// writeFile replaces a file whole, readable by its owner only: a reader sees the
// old or the new content, never half of it.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // made with 0600
	if err != nil {
		return store.FileError(path, err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return store.FileError(path, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// ReadConnectionString reads a policy's connection string from a data folder,
// whether or not a hub runs on it. The error is a *DataError, or a
// *PolicyError when there is no such policy.
func ReadConnectionString(data, policy string) (iothub.ServiceConnectionString, error) {
	ctx := context.Background() // two small local files
	var cs iothub.ServiceConnectionString
	err := readFolder(ctx, data, func(s *store.Store, e Endpoints) error {
		p, err := readPolicies(ctx, s)
		if err == nil {
			cs, err = p.connectionString(policy, e)
		}
		return err
	})
	return cs, err
}

// ReadDeviceConnectionString reads a device's connection string from a data
// folder, whether or not a hub runs on it. The error is a *DataError, or
// DeviceNotFound; a device that signs in with a certificate has no connection
// string.
func ReadDeviceConnectionString(ctx context.Context, data, id string) (iothub.DeviceConnectionString, error) {
	var cs iothub.DeviceConnectionString
	err := readFolder(ctx, data, func(s *store.Store, e Endpoints) error {
		rec, err := s.Record(ctx, id, "")
		if errors.Is(err, store.ErrNotFound) {
			return notFound(twinKey{DeviceID: id})
		}
		if err != nil {
			return err
		}
		key := rec.Authentication.SymmetricKey.Primary
		if key == "" {
			return fmt.Errorf("the device %s signs in with a certificate, so it has no connection string", id)
		}
		cs = iothub.DeviceConnectionString{HostName: e.HostName, DeviceID: id, SharedAccessKey: key}
		return nil
	})
	return cs, err
}

func readFolder(ctx context.Context, data string, f func(*store.Store, Endpoints) error) (err error) {
	e, err := ReadEndpoints(data)
	if err != nil {
		return err
	}
	s, err := store.OpenReadOnly(ctx, storeFile(data))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(s, e)
}
