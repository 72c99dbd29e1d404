package hubclient

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"twinboard/hubclient/iothub"
)

// maxTraceBody is how much of a body the wire trace keeps, in bytes.
const maxTraceBody = 16 << 10

type untracedKey struct{}

// Untraced leaves the requests under ctx out of the wire trace: thousands of
// background reads would push out what a person did.
func Untraced(ctx context.Context) context.Context {
	return context.WithValue(ctx, untracedKey{}, true)
}

// tracePolicy records each request as it is really sent, repeats included, and
// what came back. It stands behind the signing, so that the trace shows it.
type tracePolicy struct {
	feed *Trace
	now  func() time.Time
}

func (p tracePolicy) Do(req *policy.Request) (*http.Response, error) {
	ctx := req.Raw().Context()
	if p.feed == nil || ctx.Value(untracedKey{}) != nil {
		return req.Next()
	}
	var op operation
	req.OperationValue(&op)
	entry := iothub.WireEntry{
		Time:           p.now(),
		Action:         iothub.ActionFrom(ctx),
		Protocol:       "HTTP",
		Outgoing:       true,
		Method:         req.Raw().Method,
		URL:            req.Raw().URL.String(),
		RequestHeaders: headerLines(req.Raw().Header),
		RequestBody:    traceBody(op.body),
	}
	start := time.Now()
	resp, err := req.Next()
	entry.Duration = time.Since(start)
	if err != nil {
		entry.Err = iothub.MaskSecrets(err.Error())
	} else {
		entry.Status = resp.StatusCode
		entry.ResponseHeaders = headerLines(resp.Header)
		if !op.stream {
			// The body is in memory by now; the one that will use it reports a
			// failure to read it.
			body, _ := runtime.Payload(resp)
			entry.ResponseBody = traceBody(body)
		}
	}
	p.feed.Publish(entry)
	return resp, err
}

func headerLines(h http.Header) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, iothub.MaskSecrets(name+": "+value))
		}
	}
	return out
}

// traceBody is the readable beginning of a body. It is masked before it is cut,
// or a key across the cut would not be recognised; the first cut only spares
// masking megabytes.
func traceBody(b []byte) string {
	long := len(b) > maxTraceBody
	s := iothub.MaskSecrets(string(b[:min(len(b), 4*maxTraceBody)]))
	if len(s) > maxTraceBody {
		s, long = s[:maxTraceBody], true
	}
	if !long {
		return s
	}
	for len(s) > 0 && !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return strings.TrimRight(s, " ") + "…"
}

func newBody(b []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
