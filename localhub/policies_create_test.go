package localhub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

func wantRefusal(t *testing.T, err error, want PolicyProblem) {
	t.Helper()
	if e, ok := errors.AsType[*CreatePolicyError](err); !ok || e.Problem != want || e.Error() == "" {
		t.Errorf("got %v, want the problem %q", err, want)
	}
}

// TestAPolicyOfOnesOwn makes one while the hub runs and one while it does not.
func TestAPolicyOfOnesOwn(t *testing.T) {
	data := t.TempDir()
	err := CreatePolicy(t.Context(), data, "early", "registryRead")
	if e, ok := errors.AsType[*DataError](err); !ok || e.Kind != store.Missing {
		t.Errorf("in a folder no hub has used: %v", err)
	}
	w := startWireIn(t, data, time.Now, func(*Hub) {})
	w.device("d1")
	call := func(w *wire, policy, path string) int {
		t.Helper()
		s, err := ReadConnectionString(data, policy)
		if err != nil {
			t.Fatal(err)
		}
		token, err := iothub.Sign(s.HostName, s.SharedAccessKey, policy, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return w.send(http.MethodGet, path+"?api-version=2021-04-12", "", "Authorization", token).Status
	}
	if err := CreatePolicy(t.Context(), data, "my.policy-1", "RegistryRead, serviceconnect"); err != nil {
		t.Fatal(err)
	}
	first, err := w.hub.ConnectionString("my.policy-1")
	if err != nil || first.SharedAccessKey == "" {
		t.Fatalf("%v", err)
	}
	for path, want := range map[string]int{"/devices/d1": 200, "/twins/d1": 200, "/devices/d1/commands": 405} {
		if got := call(w, "my.policy-1", path); got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	if err := CreatePolicy(t.Context(), data, "reader", "registryRead"); err != nil {
		t.Fatal(err)
	}
	if got := call(w, "reader", "/devices/d1"); got != 200 {
		t.Errorf("reading identities: %d", got)
	}
	if got := call(w, "reader", "/twins/d1"); got != 401 {
		t.Errorf("reading twins: %d", got)
	}
	if err := CreatePolicy(t.Context(), data, "reader", "RegistryRead"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	wantRefusal(t, CreatePolicy(t.Context(), data, "reader", "registryRead,registryWrite"), PolicyExists)
	if again, err := w.hub.ConnectionString("my.policy-1"); err != nil || again != first {
		t.Errorf("%v", err)
	}
	closeHub(t, w.hub)
	if err := CreatePolicy(t.Context(), data, "late", "deviceConnect"); err != nil {
		t.Fatal(err)
	}
	w = startWireIn(t, data, time.Now, func(*Hub) {})
	if got := call(w, "late", "/twins/d1"); got != 401 {
		t.Errorf("reading twins: %d", got)
	}
	if got := call(w, "my.policy-1", "/twins/d1"); got != 200 {
		t.Errorf("after a restart: %d", got)
	}
}

func TestWhatAPolicyMayBe(t *testing.T) {
	data := t.TempDir()
	closeHub(t, startHub(t, data, func(*Options) {}))
	create := func(name, rights string) error { return CreatePolicy(t.Context(), data, name, rights) }
	long := strings.Repeat("n", iothub.MaxPolicyName)
	if err := create(long, "registryRead"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", long + "n", "a b", "a;b", "a=b", "é", "a/b"} {
		wantRefusal(t, create(name, "registryRead"), PolicyName)
	}
	for _, rights := range []string{"", "everything", "registryRead;serviceConnect", "registryRead,"} {
		wantRefusal(t, create("p", rights), PolicyRights)
	}
	// Of the six there are, three have ServiceConnect.
	for n := range iothub.MaxServicePolicies - 3 {
		if err := create(fmt.Sprint("s", n), "serviceConnect"); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	wantRefusal(t, create("more", "serviceConnect,registryRead"), PolicyServices)
	for n := 7 + iothub.MaxServicePolicies - 3; n < iothub.MaxPolicies; n++ {
		if err := create(fmt.Sprint("r", n), "registryRead"); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
	}
	wantRefusal(t, create("more", "registryRead"), PolicyFull)
	wantRefusal(t, create("s0", "registryRead"), PolicyExists)
	if err := create("s0", "serviceConnect"); err != nil {
		t.Errorf("one that is there, in a full hub: %v", err)
	}
}
