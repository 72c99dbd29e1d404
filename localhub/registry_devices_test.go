package localhub

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

func TestNewDeviceHasKeysAndDefaults(t *testing.T) {
	b := newBench(t)
	d, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d", ETag: "ignored", ConnectionState: "Connected"})
	b.check(err)
	keys := d.Authentication.SymmetricKey
	for _, key := range []string{keys.Primary, keys.Secondary} {
		if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) != 32 {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if keys.Primary == keys.Secondary {
		t.Error("the two keys are one")
	}
	if digits, err := base64.StdEncoding.DecodeString(string(d.ETag)); err != nil || strings.Trim(string(digits), "0123456789") != "" {
		t.Errorf("etag %s is not base64 of digits", d.ETag)
	}
	want := iothub.Device{
		DeviceID: "d", ConnectionState: "Disconnected", Status: "enabled", GenerationID: d.GenerationID, ETag: d.ETag,
		Authentication: iothub.Authentication{SymmetricKey: keys, Type: "sas"},
	}
	if diff := cmp.Diff(want, d); diff != "" || d.GenerationID == "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := b.device(t.Context(), "d")
	if diff := cmp.Diff(d, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func key(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

func TestWhatAnIdentityMayBe(t *testing.T) {
	hex40, bad := strings.Repeat("aB", 20), "AA:BB"
	sas := func(primary, secondary string) iothub.Device {
		return iothub.Device{DeviceID: "d", Authentication: iothub.Authentication{SymmetricKey: iothub.SymmetricKey{Primary: primary, Secondary: secondary}}}
	}
	x509 := func(kind string, print *string) iothub.Device {
		return iothub.Device{DeviceID: "d", Authentication: iothub.Authentication{Type: kind, X509Thumbprint: iothub.X509Thumbprint{Primary: print}}}
	}
	for _, test := range []struct {
		name   string
		device iothub.Device
		kind   string // authentication type, "" means refused
	}{
		{"empty keys", sas("", ""), "sas"},
		{"keys of 16 bytes", sas(key(16), key(16)), "sas"},
		{"keys of 64 bytes", sas(key(64), key(64)), "sas"},
		{"key too short", sas(key(15), key(16)), ""},
		{"key too long", sas(key(16), key(65)), ""},
		{"one key", sas(key(32), ""), ""},
		{"the other key", sas("", key(32)), ""},
		{"no base64", sas("***", key(32)), ""},
		{"self-signed", x509("selfSigned", &hex40), "selfSigned"},
		{"thumbprint without type", x509("", &hex40), "selfSigned"},
		{"thumbprint with separators", x509("selfSigned", &bad), ""},
		{"certificate authority", x509("certificateAuthority", nil), "certificateAuthority"},
		{"none", x509("none", nil), ""},
		{"unknown type", x509("magic", nil), ""},
		{"status", iothub.Device{DeviceID: "d", Status: "on"}, ""},
		{"reason of 128", iothub.Device{DeviceID: "d", StatusReason: strings.Repeat("é", 128)}, "sas"},
		{"reason of 129", iothub.Device{DeviceID: "d", StatusReason: strings.Repeat("é", 129)}, ""},
		{"id with a slash", iothub.Device{DeviceID: "a/b"}, ""},
		{"no id", iothub.Device{}, ""},
	} {
		b := newBench(t)
		d, err := b.createDevice(t.Context(), owner, test.device)
		if test.kind == "" {
			wantCode(t, err, iothub.ErrArgumentInvalid)
			continue
		}
		if err != nil || d.Authentication.Type != test.kind {
			t.Errorf("%s: type %q, %v", test.name, d.Authentication.Type, err)
			continue
		}
		if twin := b.get("d"); twin.AuthenticationType != test.kind || cmp.Diff(twin.X509Thumbprint, test.device.Authentication.X509Thumbprint) != "" {
			t.Errorf("%s: twin shows %s %v", test.name, twin.AuthenticationType, twin.X509Thumbprint)
		}
	}
}

func TestUpdatingAnIdentity(t *testing.T) {
	b := newBench(t)
	first, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d", StatusReason: "new"})
	b.check(err)
	_, err = b.createDevice(t.Context(), owner, first)
	wantCode(t, err, iothub.ErrDeviceAlreadyExists)
	_, err = b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "none"}, iothub.Any)
	wantCode(t, err, iothub.ErrDeviceNotFound)

	change := first
	change.Status = iothub.StatusDisabled
	second, err := b.updateDevice(t.Context(), owner, change, first.ETag)
	b.check(err)
	if second.ETag == first.ETag || second.StatusUpdatedTime.IsZero() || second.Authentication.SymmetricKey != first.Authentication.SymmetricKey ||
		second.GenerationID != first.GenerationID || second.StatusReason != "new" {
		t.Errorf("%+v became %+v", first, second)
	}
	_, err = b.updateDevice(t.Context(), owner, change, first.ETag)
	wantCode(t, err, iothub.ErrPreconditionFailed)

	// A full replace: what is left out goes back to its default.
	third, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "d"}, iothub.Any)
	b.check(err)
	if third.Status != iothub.StatusEnabled || third.StatusReason != "" || third.Authentication.SymmetricKey == second.Authentication.SymmetricKey {
		t.Errorf("%+v became %+v", second, third)
	}
	if twin := b.get("d"); twin.DeviceETag != third.ETag || !twin.StatusUpdateTime.Equal(third.StatusUpdatedTime.Time) {
		t.Errorf("the twin shows %s %v", twin.DeviceETag, twin.StatusUpdateTime)
	}
}

func TestDeletingADevice(t *testing.T) {
	b := newBench(t)
	b.create("d")
	b.patch("d", `{"tags":{"a":1}}`)
	first, err := b.device(t.Context(), "d")
	b.check(err)
	wantCode(t, b.deleteDevice(t.Context(), owner, "d", ""), iothub.ErrPreconditionFailed)
	wantCode(t, b.deleteDevice(t.Context(), owner, "d", "stale"), iothub.ErrPreconditionFailed)
	wantCode(t, b.deleteDevice(t.Context(), owner, "none", iothub.Any), iothub.ErrDeviceNotFound)
	wantCode(t, b.deleteDevice(t.Context(), owner, "none", ""), iothub.ErrDeviceNotFound)
	s := b.connectTo("d")
	b.check(b.deleteDevice(t.Context(), owner, "d", first.ETag))
	if got := s.next(t); got != "end: the device was deleted" || b.connected() != 0 {
		t.Errorf("%s, %d connected", got, b.connected())
	}
	_, err = b.twin(t.Context(), dev("d"))
	wantCode(t, err, iothub.ErrDeviceNotFound)
	b.patchReported(dev("d"), s, "1", []byte(`{}`), nil)
	if got := s.next(t); got != "reported 1 0 error DeviceNotFound" {
		t.Error(got)
	}
	again, err := b.createDevice(t.Context(), owner, iothub.Device{DeviceID: "d"})
	b.check(err)
	twin := b.get("d")
	if again.ETag == first.ETag || again.GenerationID == first.GenerationID || twin.Version != 2 || len(twin.Tags) != 0 || !twin.LastActivityTime.IsZero() {
		t.Errorf("the new device is %+v with twin %+v", again, twin)
	}
}

func TestListsAndCounts(t *testing.T) {
	b := newBench(t)
	for i := range 5 {
		b.create(fmt.Sprint("d", 4-i))
	}
	_, err := b.updateDevice(t.Context(), owner, iothub.Device{DeviceID: "d2", Status: iothub.StatusDisabled}, iothub.Any)
	b.check(err)
	for top, want := range map[int]string{0: "d4 d3 d2 d1 d0", 2: "d4 d3", -1: "d4 d3 d2 d1 d0", 1001: "d4 d3 d2 d1 d0"} {
		list, err := b.devices(t.Context(), top)
		b.check(err)
		var ids []string
		for _, d := range list {
			ids = append(ids, d.DeviceID)
			if d.Authentication.SymmetricKey.Primary == "" {
				t.Errorf("%s is listed without its keys", d.DeviceID)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("top %d: %s, want %s", top, got, want)
		}
	}
	got, err := b.statistics(t.Context())
	if want := (iothub.RegistryStatistics{Total: 5, Enabled: 4, Disabled: 1}); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}
