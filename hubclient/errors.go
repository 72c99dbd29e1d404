package hubclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"twinboard/hubclient/iothub"
)

// ConnectionKind says why a hub could not be talked to.
type ConnectionKind string

// The kinds of ConnectionError.
const (
	Unreachable         ConnectionKind = "unreachable" // the network gave up, or the connection broke
	Refused             ConnectionKind = "refused"     // the machine answers, the port does not
	DNS                 ConnectionKind = "dns"         // the host name is unknown
	TLSUnknownAuthority ConnectionKind = "tls-unknown-authority"
	TLSName             ConnectionKind = "tls-name"    // the certificate is for another host
	TLSInvalid          ConnectionKind = "tls-invalid" // expired, not yet valid, or no handshake possible
	Timeout             ConnectionKind = "timeout"
	ClockSkew           ConnectionKind = "clock-skew" // the hub refused the token and the clocks differ
	NotAHub             ConnectionKind = "not-a-hub"  // something answers, but not as a hub does
)

// ConnectionError means that a hub gave no answer, or none that counts. What a
// hub refuses is an *iothub.Error instead, or a *ThrottledError or *QueryError,
// which wrap one. A context that was cancelled stays context.Canceled.
type ConnectionError struct {
	Kind ConnectionKind
	Host string
	// Sent reports whether the request may have reached the hub: a write that
	// was sent may have happened.
	Sent bool
	// Skew is, for ClockSkew, how far the own clock is ahead of the hub's.
	Skew time.Duration
	Err  error
}

func (e *ConnectionError) Error() string {
	if e.Kind == ClockSkew {
		return fmt.Sprintf("%s: clock-skew: own clock is %s ahead of the hub's: %v", e.Host, e.Skew, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Host, e.Kind, e.Err)
}

func (e *ConnectionError) Unwrap() error { return e.Err }

// ThrottledError means that the hub asks to slow down and waiting was not
// allowed or did not help. The request was not executed.
type ThrottledError struct {
	RetryAfter time.Duration // when it makes sense to try again
	Err        *iothub.Error
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("throttled, try again in %s: %v", e.RetryAfter, e.Err)
}

func (e *ThrottledError) Unwrap() error { return e.Err }

// maxSkew is how far the clocks of hub and client may differ before it is
// blamed for a refused token. (IoT Hub documentation: about five minutes.)
const maxSkew = 5 * time.Minute

// connectionError names the trouble behind a request without an answer.
func (c *Client) connectionError(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return err
	}
	e := &ConnectionError{Kind: kindOf(err), Host: c.host, Sent: true, Err: err}
	if attempt, ok := errors.AsType[*attemptError](err); ok {
		e.Sent, e.Err = attempt.left, attempt.err
	}
	return e
}

func kindOf(err error) ConnectionKind {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &unknown):
		return TLSUnknownAuthority
	case errors.As(err, &name):
		return TLSName
	case errors.As(err, &invalid), errors.As(err, &alert):
		return TLSInvalid
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record), errors.Is(err, errTooLarge):
		return NotAHub
	case errors.As(err, &dns):
		return DNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Timeout
	}
	return Unreachable
}

// refusal turns an answer that is no success into an error.
func (c *Client) refusal(resp *http.Response) error {
	defer resp.Body.Close()
	body, err := runtime.Payload(resp)
	if err != nil {
		return c.connectionError(resp.Request.Context(), err)
	}
	code := resp.Header.Get("iothub-errorcode")
	if !fromHub(resp.StatusCode, code, body) {
		return c.notAHub(fmt.Errorf("HTTP %s", resp.Status))
	}
	refused := iothub.ParseError(resp.StatusCode, code, body)
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return &ThrottledError{RetryAfter: throttleWait(resp), Err: refused}
	case http.StatusUnauthorized:
		if skew, ok := c.skew(resp); ok {
			return &ConnectionError{Kind: ClockSkew, Host: c.host, Sent: true, Skew: skew, Err: refused}
		}
	}
	return withPosition(refused, body)
}

// fromHub reports whether a refusal can be a hub's: hubs name their refusals or
// send JSON. What any proxy on the way may say counts as the hub's too.
func fromHub(status int, code string, body []byte) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 || status >= 400 && (code != "" || json.Valid(body))
}

// skew compares the own clock with the hub's. The hub's Date has whole seconds.
func (c *Client) skew(resp *http.Response) (time.Duration, bool) {
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, false
	}
	skew := c.now().Sub(theirs).Round(time.Second)
	return skew, skew.Abs() > maxSkew
}

// throttleWait is how long to stay away after a 429: what the hub says, or ten
// seconds, which the real one advises in its text. (It sends no Retry-After.)
func throttleWait(resp *http.Response) time.Duration {
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		return time.Duration(s) * time.Second
	}
	return 10 * time.Second
}
