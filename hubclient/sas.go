package hubclient

import (
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"twinboard/hubclient/iothub"
)

const (
	// tokenLifetime is that of Microsoft's SDKs.
	tokenLifetime = time.Hour
	// tokenRenewal is how long before its expiry a token is replaced: more than
	// the clocks of hub and client may differ.
	tokenRenewal = 10 * time.Minute
)

// sasPolicy signs requests with a token that it reuses until shortly before its
// expiry. (IoT Hub documentation: control access with shared access signatures.)
type sasPolicy struct {
	cs  iothub.ServiceConnectionString
	now func() time.Time

	mu     sync.Mutex
	token  string
	signed time.Time
}

func newSASPolicy(cs iothub.ServiceConnectionString, now func() time.Time) (*sasPolicy, error) {
	p := &sasPolicy{cs: cs, now: now}
	_, err := p.current()
	return p, err
}

func (p *sasPolicy) Do(req *policy.Request) (*http.Response, error) {
	token, err := p.current()
	if err != nil {
		return nil, err
	}
	req.Raw().Header.Set("Authorization", token)
	return req.Next()
}

// current is a token with enough time left. A clock set back makes a new one
// too: the old token would otherwise outlive its hour.
func (p *sasPolicy) current() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	age := now.Sub(p.signed)
	if p.token != "" && age >= 0 && age < tokenLifetime-tokenRenewal {
		return p.token, nil
	}
	// The resource is the hub's name; a port is no part of it.
	resource := iothub.SplitHost(p.cs.HostName).Host
	token, err := iothub.Sign(resource, p.cs.SharedAccessKey, p.cs.SharedAccessKeyName, now.Add(tokenLifetime))
	if err != nil {
		return "", err
	}
	p.token, p.signed = token, now
	return token, nil
}
