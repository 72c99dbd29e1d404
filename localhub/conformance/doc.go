// Package conformance drives a hub as its users do: with Microsoft's own SDKs,
// unmodified, as a black box. By default the tests start this project's hub on
// the standard ports; HUB_CONNECTION_STRING points them at another hub, for
// example one on Azure.
package conformance
