package localhub

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"twinboard/localhub/store"
)

func authorityAt(t *testing.T, data string, now func() time.Time, names ...string) *authority {
	t.Helper()
	a, err := openAuthority(data, names, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func leafOf(t *testing.T, a *authority) *x509.Certificate {
	t.Helper()
	c, err := a.certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestLeafIsGoodForEveryNameAndNoOther(t *testing.T) {
	a := authorityAt(t, t.TempDir(), time.Now, "localhost", "127.0.0.1", "::1", "hub.example.net", "192.0.2.7")
	leaf := leafOf(t, a)
	for name, good := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "::1": true, "hub.example.net": true, "192.0.2.7": true, "example.net": false, "127.0.0.2": false,
	} {
		_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: a.pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		if (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	ca := a.cert
	if !ca.IsCA || ca.KeyUsage&x509.KeyUsageCertSign == 0 || string(leaf.AuthorityKeyId) != string(ca.SubjectKeyId) || len(leaf.SubjectKeyId) == 0 {
		t.Errorf("CA %v %v, leaf ids %x %x", ca.IsCA, ca.KeyUsage, leaf.AuthorityKeyId, leaf.SubjectKeyId)
	}
	critical := map[string]bool{"2.5.29.19": false, "2.5.29.15": false} // basicConstraints, keyUsage
	for _, e := range ca.Extensions {
		if _, ok := critical[e.Id.String()]; ok {
			critical[e.Id.String()] = e.Critical
		}
	}
	for id, is := range critical {
		if !is {
			t.Errorf("extension %s of the CA is not critical", id)
		}
	}
}

func TestCAStaysAndLeafIsRenewed(t *testing.T) {
	data := t.TempDir()
	now := time.Now()
	clock := func() time.Time { return now }
	a := authorityAt(t, data, clock, "localhost")
	first := leafOf(t, a)
	if again := leafOf(t, a); !again.Equal(first) {
		t.Error("the leaf was renewed without need")
	}
	now = first.NotAfter.Add(-leafMargin + time.Second)
	second := leafOf(t, a)
	if second.Equal(first) || !second.NotAfter.After(first.NotAfter) {
		t.Error("the leaf was not renewed near its end")
	}
	other := authorityAt(t, data, clock, "localhost", "other.example.net")
	if !other.cert.Equal(a.cert) {
		t.Error("the CA was made anew")
	}
	if err := leafOf(t, other).VerifyHostname("other.example.net"); err != nil {
		t.Error(err)
	}
}

func TestADamagedCAIsNotReplaced(t *testing.T) {
	for _, broken := range []func(string) string{CAFile, caKeyFile} {
		data := t.TempDir()
		authorityAt(t, data, time.Now, "localhost")
		if err := os.WriteFile(broken(data), []byte("damage"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openAuthority(data, []string{"localhost"}, time.Now)
		var e *DataError
		if !errors.As(err, &e) || e.Kind != store.Corrupt {
			t.Errorf("%v", err)
		}
		if b, err := os.ReadFile(broken(data)); err != nil || string(b) != "damage" {
			t.Errorf("the file was changed: %q, %v", b, err)
		}
	}
	data := t.TempDir()
	authorityAt(t, data, time.Now, "localhost")
	if err := os.Remove(caKeyFile(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := openAuthority(data, []string{"localhost"}, time.Now); err == nil || !strings.Contains(err.Error(), "ca-key.pem") {
		t.Errorf("a CA without its key: %v", err)
	}
}
