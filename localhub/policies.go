package localhub

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// permission is a set of rights (IoT Hub documentation: control access).
type permission uint8

// The rights of IoT Hub.
const (
	registryRead   permission = 1 << iota // read identities
	registryWrite                         // create, change and delete identities
	serviceConnect                        // twins, queries, change feed
	deviceConnect                         // what a device does, for any device
)

var rightNames = []struct {
	right permission
	name  string
}{
	{registryRead, "RegistryRead"},
	{registryWrite, "RegistryWrite"},
	{serviceConnect, "ServiceConnect"},
	{deviceConnect, "DeviceConnect"},
}

func (p permission) has(right permission) bool { return p&right == right }

func (p permission) String() string {
	var names []string
	for _, r := range rightNames {
		if p.has(r.right) {
			names = append(names, r.name)
		}
	}
	return strings.Join(names, ",")
}

// parsePermission reads names of rights with commas between, in any case: IoT
// Hub's pages write registryRead and RegistryRead.
func parsePermission(s string) (permission, error) {
	var p permission
	for name := range strings.SplitSeq(s, ",") {
		right := rightNamed(strings.TrimSpace(name))
		if right == 0 {
			return 0, fmt.Errorf("unknown right %q", name)
		}
		p |= right
	}
	return p, nil
}

func rightNamed(name string) permission {
	for _, r := range rightNames {
		if strings.EqualFold(r.name, name) {
			return r.right
		}
	}
	return 0
}

// policy is a shared access policy: a name, two keys in base64, both valid, and
// the rights they give.
type policy struct {
	Name               string
	Primary, Secondary string
	Rights             permission
}

// policies holds the shared access policies by name.
type policies map[string]policy

// builtIn are the policies of a new IoT Hub, and the one that Microsoft's twin
// tutorial has people create.
var builtIn = []policy{
	{Name: "iothubowner", Rights: registryRead | registryWrite | serviceConnect | deviceConnect},
	{Name: "service", Rights: serviceConnect},
	{Name: "device", Rights: deviceConnect},
	{Name: "registryRead", Rights: registryRead},
	{Name: "registryReadWrite", Rights: registryRead | registryWrite},
	{Name: "serviceAndRegistryRead", Rights: serviceConnect | registryRead},
}

// openPolicies reads the policies, making those that are missing with random
// keys.
func openPolicies(ctx context.Context, s *store.Store) (policies, error) {
	err := s.AddPolicies(ctx, func(present []store.Policy) (missing []store.Policy, _ error) {
		for _, b := range builtIn {
			if !slices.ContainsFunc(present, func(p store.Policy) bool { return p.Name == b.Name }) {
				missing = append(missing, newPolicy(b.Name, b.Rights))
			}
		}
		return missing, nil
	})
	if err != nil {
		return nil, err
	}
	return readPolicies(ctx, s)
}

func newPolicy(name string, rights permission) store.Policy {
	return store.Policy{Name: name, Primary: newKey(), Secondary: newKey(), Rights: rights.String()}
}

func readPolicies(ctx context.Context, s *store.Store) (policies, error) {
	rows, err := s.Policies(ctx)
	if err != nil {
		return nil, err
	}
	p := policies{}
	for _, row := range rows {
		rights, err := parsePermission(row.Rights)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", row.Name, err)
		}
		p[row.Name] = policy{Name: row.Name, Primary: row.Primary, Secondary: row.Secondary, Rights: rights}
	}
	return p, nil
}

// PolicyError means that a hub has no policy of a name.
type PolicyError struct {
	Name  string
	Known []string // sorted
}

func (e *PolicyError) Error() string {
	return fmt.Sprintf("The hub has no policy %q. Choose one of %s.", e.Name, strings.Join(e.Known, ", "))
}

func (p policies) connectionString(name string, e Endpoints) (iothub.ServiceConnectionString, error) {
	found, ok := p[name]
	if !ok {
		missing := &PolicyError{Name: name}
		for known := range p {
			missing.Known = append(missing.Known, known)
		}
		slices.Sort(missing.Known)
		return iothub.ServiceConnectionString{}, missing
	}
	return iothub.ServiceConnectionString{HostName: e.serviceHost(), SharedAccessKeyName: name, SharedAccessKey: found.Primary}, nil
}
