package iothub_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"twinboard/hubclient/iothub"
)

// The seeds of these targets stand in testdata/fuzz.

// FuzzMerge holds for any document and patch: neither is changed, a patch that
// was applied changes nothing more, and the difference of two documents leads
// from one to the other.
func FuzzMerge(f *testing.F) {
	f.Fuzz(func(t *testing.T, baseText, patchText string) {
		base, errBase := iothub.ParseDocument([]byte(baseText))
		patch, errPatch := iothub.ParseDocument([]byte(patchText))
		if errBase != nil || errPatch != nil {
			checkRefusal(t, baseText, errBase)
			checkRefusal(t, patchText, errPatch)
			return
		}
		base = iothub.Merge(iothub.Document{}, base) // twins hold no nulls
		beforeBase, beforePatch := text(t, base), text(t, patch)
		merged := iothub.Merge(base, patch)
		if text(t, base) != beforeBase || text(t, patch) != beforePatch {
			t.Fatal("an argument was changed")
		}
		if again := iothub.Merge(merged, patch); text(t, again) != text(t, merged) {
			t.Fatalf("applied twice: %s, once: %s", text(t, again), text(t, merged))
		}
		checkMerged(t, base, patch, merged)
		if got := iothub.Merge(base, iothub.Diff(base, merged)); text(t, got) != text(t, merged) {
			t.Fatalf("the difference leads to %s instead of %s", text(t, got), text(t, merged))
		}
		if d := iothub.Diff(merged, iothub.Clone(merged)); len(d) > 0 {
			t.Fatalf("a document differs from itself by %s", text(t, d))
		}
	})
}

func checkRefusal(t *testing.T, input string, err error) {
	t.Helper()
	var syntax *iothub.SyntaxError
	if err != nil && !errors.Is(err, iothub.ErrNotObject) && (!errors.As(err, &syntax) || syntax.Line < 1 || syntax.Column < 1) {
		t.Fatalf("%q is refused without a place: %v", input, err)
	}
}

// checkMerged compares with the rules, member by member.
func checkMerged(t *testing.T, base, patch, merged map[string]any) {
	t.Helper()
	for k := range merged {
		_, wasThere := base[k]
		if v, patched := patch[k]; !wasThere && (!patched || v == nil) {
			t.Fatalf("%q comes from nowhere", k)
		}
	}
	for k, v := range base {
		if _, patched := patch[k]; !patched && !cmp.Equal(v, merged[k]) {
			t.Fatalf("%q was changed without being patched", k)
		}
	}
	for k, v := range patch {
		got, there := merged[k]
		object, isObject := v.(map[string]any)
		switch {
		case v == nil && there:
			t.Fatalf("%q was not removed", k)
		case isObject:
			old, _ := base[k].(map[string]any)
			inner, ok := got.(map[string]any)
			if !ok {
				t.Fatalf("%q is no object", k)
			}
			checkMerged(t, old, object, inner)
		case v != nil && !cmp.Equal(got, v):
			t.Fatalf("%q was not replaced", k)
		}
	}
}

// FuzzTopic holds for anything a device publishes: it belongs to one device at
// most, and an answer carries its $rid back unchanged.
func FuzzTopic(f *testing.F) {
	f.Fuzz(func(t *testing.T, topic, id, module string) {
		if iothub.CheckDeviceID(id) != nil || module != "" && iothub.CheckModuleID(module) != nil {
			return
		}
		got, err := iothub.ParsePublish(topic, id, module)
		if err != nil {
			if !errors.Is(err, iothub.ErrTopic) {
				t.Fatalf("%q: %v", topic, err)
			}
			return
		}
		if other, err := iothub.ParsePublish(topic, id+"x", module); err == nil && (got.Kind == iothub.TopicTelemetry || other != got) {
			t.Fatalf("%q is %+v of %q and %+v of another device", topic, got, id, other)
		}
		if got.Kind == iothub.TopicTelemetry {
			prefix := strings.TrimSuffix(iothub.TelemetryTopic(id, module, nil), "/")
			if rest, ok := strings.CutPrefix(topic, prefix); !ok || strings.Trim(rest, "/") != strings.Trim(got.Bag, "/") {
				t.Fatalf("%q has bag %q", topic, got.Bag)
			}
			return
		}
		answer, err := iothub.ParseReceived(iothub.TwinResponseTopic(204, got.RequestID, 7))
		if err != nil || answer.RequestID != got.RequestID || answer.Status != 204 || answer.Version != 7 {
			t.Fatalf("$rid %q comes back in %+v, %v", got.RequestID, answer, err)
		}
	})
}

// FuzzProperties holds that what is put into a property bag comes out of it, and
// that any bag reads as something that can be put into one.
func FuzzProperties(f *testing.F) {
	f.Fuzz(func(t *testing.T, bag string) {
		first := iothub.ParseProperties(bag)
		values := url.Values{}
		for name, value := range first {
			values.Set(name, value)
		}
		topic := iothub.TelemetryTopic("d", "", values)
		if strings.ContainsAny(topic, "+#") || strings.Count(topic, "/") != 4 {
			t.Fatalf("%q is no topic to publish on", topic)
		}
		parsed, err := iothub.ParsePublish(topic, "d", "")
		if err != nil {
			t.Fatal(err)
		}
		if second := iothub.ParseProperties(parsed.Bag); !maps.Equal(first, second) {
			t.Fatalf("%q reads as %q, written and read again as %q", bag, first, second)
		}
	})
}

// FuzzUserName holds that a user name that was read names a device and says the
// same when it is printed and read again.
func FuzzUserName(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		u, err := iothub.ParseUserName(s)
		if err != nil {
			if !errors.Is(err, iothub.ErrUserName) {
				t.Fatal(err)
			}
			return
		}
		if u.Host == "" || u.DeviceID == "" || strings.Contains(u.DeviceID+u.ModuleID, "/") {
			t.Fatalf("%q names %+v", s, u)
		}
		again, err := iothub.ParseUserName(u.String())
		if err != nil || again != u {
			t.Fatalf("%q reads as %+v, printed and read again as %+v, %v", s, u, again, err)
		}
	})
}

// FuzzSign holds that what is signed verifies with its key alone, says what it
// was signed for, and covers the resource and nothing beside it.
func FuzzSign(f *testing.F) {
	f.Fuzz(func(t *testing.T, host, id string, secret []byte, policy string, seconds int64) {
		if len(secret) == 0 || host == "" || strings.ContainsAny(host, "/%") || iothub.CheckDeviceID(id) != nil || !utf8.ValidString(policy) {
			return
		}
		key := base64.StdEncoding.EncodeToString(secret)
		token, err := iothub.Sign(host+"/devices/"+id, key, policy, time.Unix(seconds, 0))
		if err != nil {
			t.Fatal(err)
		}
		tok, err := iothub.ParseToken(token)
		if err != nil {
			t.Fatalf("%s: %v", token, err)
		}
		other := base64.StdEncoding.EncodeToString(append([]byte("other"), secret...))
		if !tok.Verify(key) || tok.Verify(other, "") || !tok.Verify(other, key) {
			t.Fatalf("%s verifies with the wrong key, or not with the right one", token)
		}
		if tok.Policy != policy || tok.Expiry.Unix() != seconds || tok.Expired(time.Unix(seconds-1, 0)) || !tok.Expired(time.Unix(seconds, 0)) {
			t.Fatalf("%s reads as %+v", token, tok)
		}
		path := "devices/" + id
		if !tok.Covers(path) || !tok.Covers(path+"/modules/m") || tok.Covers(path+"x") || tok.Covers("devices") || tok.Covers("twins/"+id) {
			t.Fatalf("%s covers the wrong things", token)
		}
		if masked := iothub.MaskSecrets(token); strings.Contains(masked, "&sig="+url.QueryEscape(key)) {
			t.Fatalf("%s is not masked", token)
		}
	})
}

// FuzzDeviceConnectionString is FuzzServiceConnectionString for devices; no
// refusal repeats a secret.
func FuzzDeviceConnectionString(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		c, err := iothub.ParseDeviceConnectionString(s)
		if err != nil {
			var problem *iothub.ConnectionStringError
			if !errors.As(err, &problem) || problem.Error() == "" {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if again, err := iothub.ParseDeviceConnectionString(c.String()); err != nil || again != c {
			t.Fatalf("%q reads as %+v, printed and read again as %+v, %v", s, c, again, err)
		}
		if len(c.SharedAccessKey) > 8 && strings.Contains(c.Redacted(), "SharedAccessKey="+c.SharedAccessKey) {
			t.Fatalf("%q shows its key", c.Redacted())
		}
	})
}

// FuzzLimits holds for any document that a hub would take: it stays within the
// limits when read back, merging it into itself keeps its size, and every part
// of it counts.
func FuzzLimits(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		d, err := iothub.ParseDocument([]byte(s))
		if err != nil || iothub.CheckContent(iothub.SectionTags, d) != nil {
			return
		}
		d = iothub.Merge(iothub.Document{}, d)
		if err := iothub.CheckContent(iothub.SectionTags, doc(t, text(t, d))); err != nil {
			t.Fatalf("accepted, stored and refused: %v", err)
		}
		size := iothub.Size(d)
		if again := iothub.Size(iothub.Merge(d, d)); again != size {
			t.Fatalf("merged into itself it has %d bytes instead of %d", again, size)
		}
		if heap := d.HeapBytes(); heap < size {
			t.Fatalf("%d bytes take %d of memory", size, heap)
		}
		if err := iothub.CheckSize(iothub.SectionTags, d, d); err != nil {
			t.Fatalf("what does not grow is refused: %v", err)
		}
		if leaves := len(iothub.Flatten(d)); size < leaves-1 { // the empty name alone counts nothing
			t.Fatalf("%d bytes for %d leaves", size, leaves)
		}
	})
}
