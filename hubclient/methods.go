package hubclient

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"twinboard/hubclient/iothub"
)

// methodMargin is what a call may take beyond the two times of its method.
const methodMargin = 10 * time.Second

// InvokeMethod calls a direct method of a device, or of one of its modules when
// module is not "", and returns what it answered, whatever its status. No answer
// is an error: iothub.ErrDeviceNotOnline when nobody was there to take the call,
// iothub.ErrGatewayTimeout when it was taken and not answered in time,
// iothub.ErrBadDeviceResponse when the answer was no JSON. It is sent at most
// once: after an error that was sent, the method may have run.
func (c *Client) InvokeMethod(ctx context.Context, device, module string, r iothub.MethodRequest) (iothub.MethodResult, error) {
	response := r.Response
	if response == 0 {
		response = iothub.DefaultMethodResponse
	}
	result, err := receive[iothub.MethodResult](ctx, c, call{
		method: http.MethodPost, path: twinPath(device, module) + "/methods", body: r,
		patience: r.Connect + response + methodMargin,
	})
	if err != nil {
		return iothub.MethodResult{}, fmt.Errorf("method %s of %s: %w", r.Name, subject(device, module), err)
	}
	return result, nil
}
