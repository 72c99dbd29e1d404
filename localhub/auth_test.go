package localhub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// signRaw signs a resource exactly as it will stand in the token.
func signRaw(t *testing.T, sr, se, key string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(sr + "\n" + se))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestVerifiedTokens asks with one token again and again: what does not depend on
// its signature holds for each call.
func TestVerifiedTokens(t *testing.T) {
	var later atomic.Int64
	w := startWireAt(t, func() time.Time { return time.Now().Add(time.Duration(later.Load())) })
	w.device("d1")
	token := w.token("service")
	const path = "/twins/d1?api-version=2021-04-12"
	ask := func(what string, status int, target string) {
		t.Helper()
		if r := w.send(http.MethodGet, target, "", "Authorization", token); r.Status != status {
			t.Errorf("%s: %d %s", what, r.Status, r.Body)
		}
	}
	ask("first", 200, path)
	if _, kept := w.hub.tokens.get(token); !kept {
		t.Error("the token is not kept")
	}
	ask("again", 200, path)
	ask("without the right", 401, "/devices/d1?api-version=2021-04-12")
	later.Store(int64(2 * time.Hour))
	ask("expired", 401, path)
	later.Store(0)
	ask("again", 200, path)
	changed := maps.Clone(w.hub.policies)
	p := changed["service"]
	p.Primary, p.Secondary = newKey(), newKey()
	changed["service"] = p
	w.hub.mu.Lock()
	w.hub.policies = changed
	w.hub.mu.Unlock()
	ask("signed with a key the policy had", 401, path)
	for i := range 2 * tokensBytes / 512 {
		w.hub.tokens.keep(strconv.Itoa(i)+token, verified{})
	}
	if w.hub.tokens.last.used > tokensBytes {
		t.Errorf("%d bytes of tokens are kept", w.hub.tokens.last.used)
	}
}

func TestServiceTokens(t *testing.T) {
	w := startWire(t)
	w.device("d1")
	p := w.hub.policies["service"]
	soon := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	past := strconv.FormatInt(time.Now().Add(-time.Minute).Unix(), 10)
	// form builds a token from a resource in the order and escaping of one SDK.
	node := func(sr, se, key string) string {
		return "SharedAccessSignature sr=" + sr + "&sig=" + url.QueryEscape(signRaw(t, sr, se, key)) + "&skn=service&se=" + se
	}
	python := func(sr, se, key string) string {
		sig := strings.ReplaceAll(url.QueryEscape(signRaw(t, sr, se, key)), "%2F", "/")
		return "SharedAccessSignature sr=" + sr + "&sig=" + sig + "&se=" + se + "&skn=service"
	}
	for _, c := range []struct {
		name, token string
		status      int
		says        string
	}{
		{"Node: bare host", node("localhost", soon, p.Primary), 200, ""},
		{"Node: host with port, raw", node("localhost:8443", soon, p.Primary), 200, ""},
		{"Python: host with port, encoded", python("localhost%3A8443", soon, p.Primary), 200, ""},
		{"lower-case hex", python("localhost%3a8443", soon, p.Primary), 200, ""},
		{"upper-case host", node("LOCALHOST", soon, p.Primary), 200, ""},
		{"secondary key", node("localhost", soon, p.Secondary), 200, ""},
		{"scope covers by segment, raw", node("localhost/twins", soon, p.Primary), 200, ""},
		{"scope covers by segment, encoded", node("localhost%2Ftwins%2Fd1", soon, p.Primary), 200, ""},
		{"signature with a bare plus", strings.ReplaceAll(node("localhost", soon, p.Primary), "%2B", "+"), 200, ""},
		{"scope of another device", node("localhost%2Ftwins%2Fd2", soon, p.Primary), 401, "does not cover /twins/d1"},
		{"scope that is no whole segment", node("localhost/twin", soon, p.Primary), 401, "does not cover"},
		{"scope of another resource", node("localhost/devices", soon, p.Primary), 401, "does not cover"},
		{"expired", node("localhost", past, p.Primary), 401, "expired at"},
		{"another key", node("localhost", soon, base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))), 401, "neither key of policy service"},
		{"another host", node("elsewhere.example", soon, p.Primary), 401, `host "elsewhere.example"`},
		{"signed decoded, sent encoded", strings.Replace(node("localhost/twins", soon, p.Primary), "localhost/", "localhost%2F", 1), 401, "neither key"},
		{"unknown policy", strings.Replace(node("localhost", soon, p.Primary), "skn=service", "skn=nobody", 1), 401, `no policy "nobody"`},
		{"no policy", strings.Replace(node("localhost", soon, p.Primary), "&skn=service", "", 1), 401, "names no policy"},
		{"signature not base64", "SharedAccessSignature sr=localhost&sig=%%%&skn=service&se=" + soon, 401, "not a shared access signature"},
		{"expiry not a number", "SharedAccessSignature sr=localhost&sig=AAAA&skn=service&se=soon", 401, "not a shared access signature"},
		{"another scheme", "Basic abc", 401, "not a shared access signature"},
		{"Microsoft Entra", "Bearer abc", 401, "no Microsoft Entra tokens"},
		{"no header", "", 401, "header is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header []string
			if c.token != "" {
				header = []string{"Authorization", c.token}
			}
			r := w.in(t).send(http.MethodGet, "/twins/d1?api-version=2021-04-12", "", header...)
			if r.Status != c.status {
				t.Fatalf("%d %s", r.Status, r.Body)
			}
			if c.status == http.StatusOK {
				return
			}
			e := r.refused(t)
			if !strings.HasPrefix(e.Message, "ErrorCode:IotHubUnauthorizedAccess;") || !strings.Contains(e.Message, c.says) {
				t.Errorf("says %q", e.Message)
			}
			if got := r.Header.Get("iothub-errorcode"); got != "IotHubUnauthorizedAccess" {
				t.Errorf("iothub-errorcode %q", got)
			}
		})
	}
}
