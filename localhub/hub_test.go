package localhub

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

func startHub(t *testing.T, data string, change func(*Options)) *Hub {
	t.Helper()
	o := Options{Data: data, HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"}
	if change != nil {
		change(&o)
	}
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeHub(t, h) })
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func closeHub(t *testing.T, h *Hub) {
	t.Helper()
	if err := h.Close(context.Background()); err != nil {
		t.Errorf("closing the hub: %v", err)
	}
}

func TestAHubTakesItsFolderForItself(t *testing.T) {
	data := filepath.Join(t.TempDir(), "made", "anew")
	h := startHub(t, data, nil)
	_, err := New(Options{Data: data})
	var e *DataError
	if !errors.As(err, &e) || e.Kind != store.InUse || e.Path != data {
		t.Fatalf("a second hub: %v", err)
	}
	if want := "The data folder " + data + " is in use by another Twinboard. Stop that one, or choose another folder with --data."; e.Error() != want {
		t.Errorf("text is %q", e)
	}
	closeHub(t, h)
	closeHub(t, h) // twice is fine
	startHub(t, data, nil)
	if runtime.GOOS == "windows" {
		return // rights are others there
	}
	err = filepath.Walk(data, func(path string, info os.FileInfo, err error) error {
		want := os.FileMode(0o600)
		if err == nil && info.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFolderThatIsNoneIsTold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{file, filepath.Join(file, "below")} {
		var e *DataError
		if _, err := New(Options{Data: data}); !errors.As(err, &e) || e.Kind != store.Unreadable {
			t.Errorf("%s: %v", data, err)
		}
	}
}

func TestATakenPortIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	for option, change := range map[string]func(*Options){
		"--hub-https": func(o *Options) { o.HTTPS = address },
		"--hub-mqtt":  func(o *Options) { o.MQTT = address },
	} {
		o := Options{Data: t.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"}
		change(&o)
		h, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Start(t.Context())
		var e *ListenError
		if !errors.As(err, &e) || e.Error() != address+" is taken by another program. Stop that program, or choose another address with "+option+"." {
			t.Errorf("%v", err)
		}
		closeHub(t, h)
	}
	if e := (&ListenError{Address: "127.0.0.1:443", Option: "--hub-https", Err: os.ErrPermission}); !strings.Contains(e.Error(), "more rights") {
		t.Error(e)
	}
}

func TestConnectionStringsWithAndWithoutTheHub(t *testing.T) {
	data := t.TempDir()
	_, err := ReadConnectionString(data, "service")
	var e *DataError
	if !errors.As(err, &e) || e.Kind != store.Missing {
		t.Fatalf("a folder without a hub: %v", err)
	}
	h := startHub(t, data, func(o *Options) { o.HubName = "hub.example.net" })
	d, err := h.registry.createDevice(t.Context(), owner, iothub.Device{DeviceID: "dev1"})
	if err != nil {
		t.Fatal(err)
	}
	print := strings.Repeat("ab", 20)
	if _, err := h.registry.createDevice(t.Context(), owner, iothub.Device{DeviceID: "x509", Authentication: iothub.Authentication{
		Type: "selfSigned", X509Thumbprint: iothub.X509Thumbprint{Primary: &print},
	}}); err != nil {
		t.Fatal(err)
	}
	service, err := h.ConnectionString("service")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(h.HTTPSAddr())
	if service.HostName != "hub.example.net:"+port || h.DeviceHostName() != "hub.example.net" {
		t.Errorf("host names %s, %s", service.HostName, h.DeviceHostName())
	}
	device := iothub.DeviceConnectionString{HostName: "hub.example.net", DeviceID: "dev1", SharedAccessKey: d.Authentication.SymmetricKey.Primary}
	check := func() {
		t.Helper()
		if got, err := ReadConnectionString(data, "service"); err != nil || got != service {
			t.Errorf("%s, %v", got, err)
		}
		if got, err := ReadDeviceConnectionString(t.Context(), data, "dev1"); err != nil || got != device {
			t.Errorf("%s, %v", got, err)
		}
		_, err := ReadDeviceConnectionString(t.Context(), data, "none")
		wantCode(t, err, iothub.ErrDeviceNotFound)
		if _, err := ReadDeviceConnectionString(t.Context(), data, "x509"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
		var missing *PolicyError
		if _, err := ReadConnectionString(data, "nobody"); !errors.As(err, &missing) {
			t.Errorf("%v", err)
		}
	}
	check()
	closeHub(t, h)
	check()
	if CAFile(data) != h.CAFile() {
		t.Error("two paths for one CA")
	}
}

func TestTheHubKnowsItsNames(t *testing.T) {
	h := startHub(t, t.TempDir(), func(o *Options) { o.HubName = "Hub.Example.net" })
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:8443": true, "127.0.0.1": true, "[::1]:8443": true, "::1": true, "hub.example.net:8443": true,
		"": false, "example.net": false, "name.azure-devices.net": false,
	} {
		if got := h.isOurHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

func TestAClosedHubLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	h, err := New(Options{Data: t.TempDir(), HTTPS: "127.0.0.1:0", MQTT: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeHub(t, h)
	goleak.VerifyNone(t, before)
	unstarted, err := New(Options{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	closeHub(t, unstarted)
	goleak.VerifyNone(t, before)
}
