package localhub

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

func TestPoliciesAndTheirRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hub.db")
	open := func() policies {
		t.Helper()
		s, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, err := openPolicies(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	rights := map[string]string{}
	keys := map[string]bool{}
	for name, policy := range p {
		rights[name] = policy.Rights.String()
		keys[policy.Primary], keys[policy.Secondary] = true, true
	}
	want := map[string]string{
		"iothubowner":            "RegistryRead,RegistryWrite,ServiceConnect,DeviceConnect",
		"service":                "ServiceConnect",
		"device":                 "DeviceConnect",
		"registryRead":           "RegistryRead",
		"registryReadWrite":      "RegistryRead,RegistryWrite",
		"serviceAndRegistryRead": "RegistryRead,ServiceConnect",
	}
	if d := cmp.Diff(want, rights); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(keys) != 2*len(want) || keys[""] {
		t.Errorf("%d different keys for %d policies", len(keys), len(want))
	}
	if d := cmp.Diff(p, open()); d != "" {
		t.Errorf("after a restart (-before +after):\n%s", d)
	}
	if owner := p["iothubowner"].Rights; !owner.has(registryRead|deviceConnect) || p["service"].Rights.has(registryRead|serviceConnect) {
		t.Error("has must ask for every right")
	}
}

func TestConnectionStringsOfPolicies(t *testing.T) {
	p := policies{"service": {Name: "service", Primary: "a2V5", Rights: serviceConnect}, "device": {}}
	for _, test := range []struct {
		endpoints Endpoints
		want      string
	}{
		{Endpoints{HTTPS: "127.0.0.1:8443", HostName: "localhost"}, "HostName=localhost:8443;SharedAccessKeyName=service;SharedAccessKey=a2V5"},
		{Endpoints{HTTPS: "127.0.0.1:443", HostName: "localhost"}, "HostName=localhost;SharedAccessKeyName=service;SharedAccessKey=a2V5"},
		{Endpoints{HTTPS: "[::1]:9000", HostName: "hub.example.net"}, "HostName=hub.example.net:9000;SharedAccessKeyName=service;SharedAccessKey=a2V5"},
	} {
		cs, err := p.connectionString("service", test.endpoints)
		if err != nil || cs.String() != test.want {
			t.Errorf("%s, %v; want %s", cs, err, test.want)
		}
		if again, err := iothub.ParseServiceConnectionString(cs.String()); err != nil || again != cs {
			t.Errorf("%s cannot be read back: %v", cs, err)
		}
	}
	_, err := p.connectionString("nobody", Endpoints{})
	var missing *PolicyError
	if !errors.As(err, &missing) || err.Error() != `The hub has no policy "nobody". Choose one of device, service.` {
		t.Errorf("%v", err)
	}
}
