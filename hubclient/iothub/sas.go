package iothub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sasPrefix opens every shared access signature.
const sasPrefix = "SharedAccessSignature "

// Sign makes a shared access signature for a resource: a host name, or a path
// below one such as host/devices/dev1. key is base64; policy is "" when a
// device or module signs with its own key. (IoT Hub documentation: control
// access with shared access signatures.)
func Sign(resource, key, policy string, expiry time.Time) (string, error) {
	sr := escape(resource)
	se := strconv.FormatInt(expiry.Unix(), 10)
	mac, err := signature(sr, se, key)
	if err != nil {
		return "", err
	}
	token := sasPrefix + "sr=" + sr + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac)) + "&se=" + se
	if policy != "" {
		token += "&skn=" + escape(policy)
	}
	return token, nil
}

func signature(sr, se, key string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("the shared access key is not base64: %w", err)
	}
	h := hmac.New(sha256.New, raw)
	h.Write([]byte(sr + "\n" + se))
	return h.Sum(nil), nil
}

// Token is a shared access signature taken apart. It proves nothing until
// Verify says so.
type Token struct {
	resource  string // sr exactly as sent: the signature covers these bytes
	expiry    string // se exactly as sent
	signature []byte
	Expiry    time.Time
	Policy    string // skn; "" when a device or module signed
}

// ErrNotToken means a text is not a shared access signature.
var ErrNotToken = errors.New("not a shared access signature: it must be \"SharedAccessSignature sr=…&sig=…&se=…\"")

// ParseToken takes a shared access signature apart; the order of its fields is
// free, as SDKs differ.
func ParseToken(s string) (Token, error) {
	rest, ok := strings.CutPrefix(s, sasPrefix)
	if !ok {
		return Token{}, ErrNotToken
	}
	var t Token
	for field := range strings.SplitSeq(rest, "&") {
		name, value, _ := strings.Cut(field, "=")
		if err := t.set(name, value); err != nil {
			return Token{}, err
		}
	}
	if t.resource == "" || t.expiry == "" || len(t.signature) == 0 {
		return Token{}, ErrNotToken
	}
	return t, nil
}

// never is the end of the year 9999: a Time wraps long before an int64 does.
const never = 253402300799

func (t *Token) set(name, value string) error {
	switch name {
	case "sr":
		t.resource = value
	case "sig":
		// PathUnescape leaves + alone: some SDKs send it bare.
		text, err := url.PathUnescape(value)
		if err != nil {
			return ErrNotToken
		}
		if t.signature, err = base64.StdEncoding.DecodeString(text); err != nil {
			return ErrNotToken
		}
	case "se":
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return ErrNotToken
		}
		t.expiry, t.Expiry = value, time.Unix(min(seconds, never), 0).UTC()
	case "skn":
		policy, err := url.PathUnescape(value)
		if err != nil {
			return ErrNotToken
		}
		t.Policy = policy
	}
	return nil
}

// Verify reports whether one of the keys made the signature. It does not look
// at the expiry.
func (t Token) Verify(keys ...string) bool {
	for _, key := range keys {
		want, err := signature(t.resource, t.expiry, key)
		if err == nil && key != "" && hmac.Equal(want, t.signature) {
			return true
		}
	}
	return false
}

// Expired reports whether the token is past its expiry.
func (t Token) Expired(now time.Time) bool { return !now.Before(t.Expiry) }

// Covers reports whether the token is good for a path of the hub, for example
// "devices/dev1". Scope is a prefix by whole path segments. SDKs send the
// resource encoded or raw, so both readings count. The host is returned by
// Host and not compared here.
func (t Token) Covers(path string) bool {
	for _, resource := range t.readings() {
		_, scope, _ := strings.Cut(resource, "/")
		scope = strings.TrimSuffix(scope, "/")
		if scope == "" || path == scope || strings.HasPrefix(path, scope+"/") {
			return true
		}
	}
	return false
}

// Host is the host name the token was made for, lower case, without a port.
func (t Token) Host() string {
	readings := t.readings()
	host, _, _ := strings.Cut(readings[len(readings)-1], "/")
	return strings.ToLower(SplitHost(host).Host)
}

// readings are what the resource can mean: a text with slashes may be raw or
// decoded, one without is only ever decoded, or its scope would seem empty and
// cover the hub. Old examples append an api-version to the device path; it is
// no part of the scope.
func (t Token) readings() []string {
	var out []string
	decoded, err := url.PathUnescape(t.resource)
	if err != nil || decoded != t.resource && strings.Contains(t.resource, "/") {
		out = append(out, t.resource)
	}
	if err == nil {
		out = append(out, decoded)
	}
	for i, r := range out {
		if before, _, ok := strings.Cut(r, "/api-version="); ok {
			out[i] = before
		}
	}
	return out
}

var (
	secrets = regexp.MustCompile(`(?i)((?:\bsig|SharedAccessKey|primaryKey|secondaryKey)"?\s*[=:]\s*"?)([^&;"\s]+)`)
	unset   = regexp.MustCompile(`^null([,}].*)?$`) // a key that is not there, in JSON
)

// MaskSecrets replaces signatures and keys in a text by stars, for traces and
// logs.
func MaskSecrets(s string) string {
	return secrets.ReplaceAllStringFunc(s, func(found string) string {
		parts := secrets.FindStringSubmatch(found)
		if unset.MatchString(parts[2]) {
			return found
		}
		return parts[1] + "***"
	})
}
