package hubclient

import (
	"context"
	"fmt"
	"net/http"

	"twinboard/hubclient/iothub"
)

// Statistics counts the hub's identities. It needs the right RegistryRead.
func (c *Client) Statistics(ctx context.Context) (iothub.RegistryStatistics, error) {
	s, err := receive[iothub.RegistryStatistics](ctx, c, call{method: http.MethodGet, path: "/statistics/devices", safe: true})
	if err != nil {
		return s, fmt.Errorf("statistics: %w", err)
	}
	return s, nil
}

// ServiceStatistics counts the devices that are connected.
func (c *Client) ServiceStatistics(ctx context.Context) (iothub.ServiceStatistics, error) {
	s, err := receive[iothub.ServiceStatistics](ctx, c, call{method: http.MethodGet, path: "/statistics/service", safe: true})
	if err != nil {
		return s, fmt.Errorf("statistics: %w", err)
	}
	return s, nil
}
