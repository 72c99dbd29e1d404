package localhub

import (
	"context"
	"errors"
	"fmt"

	"twinboard/hubclient/iothub"
	"twinboard/localhub/store"
)

// PolicyProblem says why a policy cannot be made.
type PolicyProblem string

// The problems of CreatePolicy.
const (
	PolicyName     PolicyProblem = "name"     // not a name a policy can have
	PolicyRights   PolicyProblem = "rights"   // no right, or one that does not exist
	PolicyExists   PolicyProblem = "exists"   // with other rights
	PolicyFull     PolicyProblem = "full"     // the hub has iothub.MaxPolicies
	PolicyServices PolicyProblem = "services" // iothub.MaxServicePolicies have ServiceConnect
)

// CreatePolicyError means that a policy cannot be made.
type CreatePolicyError struct {
	Problem PolicyProblem
	Name    string
	Rights  string // those asked for; for PolicyExists, those the policy has
}

func (e *CreatePolicyError) Error() string {
	switch e.Problem {
	case PolicyName:
		return fmt.Sprintf("%q cannot be the name of a policy: use 1 to %d ASCII letters, digits and - . _", e.Name, iothub.MaxPolicyName)
	case PolicyRights:
		return fmt.Sprintf("%q are not rights: choose from %s, with commas between", e.Rights, allRights)
	case PolicyExists:
		return fmt.Sprintf("the policy %s exists with the rights %s", e.Name, e.Rights)
	case PolicyFull:
		return fmt.Sprintf("the hub has %d policies; more are not allowed", iothub.MaxPolicies)
	case PolicyServices:
		return fmt.Sprintf("%d policies have the right ServiceConnect; more are not allowed", iothub.MaxServicePolicies)
	}
	return fmt.Sprintf("the policy %s cannot be made", e.Name)
}

// CreatePolicy makes a shared access policy in a data folder, with random keys,
// whether or not a hub runs on it: a running one knows the policy when it is
// first used. rights are IoT Hub's names in any case, with commas between, for
// example "registryRead,serviceConnect". A policy of that name and those rights
// stays as it is. The error is a *DataError or a *CreatePolicyError.
func CreatePolicy(ctx context.Context, data, name, rights string) (err error) {
	wanted, err := parsePermission(rights)
	if err != nil {
		return &CreatePolicyError{Problem: PolicyRights, Name: name, Rights: rights}
	}
	if !iothub.ValidPolicyName(name) {
		return &CreatePolicyError{Problem: PolicyName, Name: name}
	}
	if _, err := ReadEndpoints(data); err != nil { // never let a wrong path become a new hub
		return err
	}
	s, err := store.OpenBeside(ctx, storeFile(data))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.AddPolicies(ctx, func(present []store.Policy) ([]store.Policy, error) {
		return choosePolicy(present, name, wanted)
	})
}

// choosePolicy returns the policy to add to those present, if it is missing and
// there is room for it (IoT Hub documentation: quotas).
func choosePolicy(present []store.Policy, name string, wanted permission) ([]store.Policy, error) {
	services := 0
	for _, p := range present {
		has, err := parsePermission(p.Rights)
		switch {
		case err != nil:
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		case p.Name == name && has == wanted:
			return nil, nil
		case p.Name == name:
			return nil, &CreatePolicyError{Problem: PolicyExists, Name: name, Rights: p.Rights}
		case has.has(serviceConnect):
			services++
		}
	}
	switch {
	case len(present) >= iothub.MaxPolicies:
		return nil, &CreatePolicyError{Problem: PolicyFull, Name: name}
	case wanted.has(serviceConnect) && services >= iothub.MaxServicePolicies:
		return nil, &CreatePolicyError{Problem: PolicyServices, Name: name}
	}
	return []store.Policy{newPolicy(name, wanted)}, nil
}

// policiesWith returns the policies, read anew when name is not among them:
// another process may have added it since. They must not be changed.
func (h *Hub) policiesWith(ctx context.Context, name string) (policies, error) {
	h.mu.Lock()
	p := h.policies
	h.mu.Unlock()
	if _, ok := p[name]; ok {
		return p, nil
	}
	p, err := readPolicies(ctx, h.store)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.policies = p
	return p, nil
}

// allRights is how the rights are written on a command line.
const allRights = "registryRead, registryWrite, serviceConnect, deviceConnect"
