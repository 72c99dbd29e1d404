package hubclient

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"twinboard/hubclient/iothub"
)

func TestModules(t *testing.T) {
	t.Parallel()
	c := startHub(t)("iothubowner")
	const device, module = "100%a#b?c", "m:1%2"
	if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: device}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.ListModules(t.Context(), device); err != nil || len(list) != 0 {
		t.Fatalf("modules of a new device: %v, %v", list, err)
	}
	made, err := c.CreateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module})
	if err != nil || made.Authentication.SymmetricKey.Primary == "" || made.ETag == "" {
		t.Fatal(made, err)
	}
	if _, err := c.CreateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module}); !errors.Is(err, iothub.ErrModuleAlreadyExists) {
		t.Errorf("created twice: %v", err)
	}
	if got, err := c.GetModule(t.Context(), device, module); err != nil || got.Authentication != made.Authentication {
		t.Errorf("module is %v, %v", got, err)
	}
	if list, err := c.ListModules(t.Context(), device); err != nil || len(list) != 1 || list[0].ModuleID != module {
		t.Errorf("modules: %v, %v", list, err)
	}

	twin, err := c.GetModuleTwin(t.Context(), device, module)
	if err != nil || twin.DeviceID != device || twin.ModuleID != module {
		t.Fatal(twin, err)
	}
	patch := iothub.TwinPatch{Desired: iothub.Document{"speed": json.Number("3")}}
	after, err := c.UpdateModuleTwin(t.Context(), device, module, patch, &UpdateTwinOptions{IfMatch: twin.ETag})
	if err != nil || after.ETag == twin.ETag {
		t.Fatal(after, err)
	}
	if _, err := c.UpdateModuleTwin(t.Context(), device, module, patch, &UpdateTwinOptions{IfMatch: twin.ETag}); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("a stale etag: %v", err)
	}
	if own, err := c.GetTwin(t.Context(), device); err != nil || len(own.Properties.Desired.Value) != 0 {
		t.Errorf("the device's own twin is %v, %v", own, err)
	}

	if err := c.DeleteModule(t.Context(), device, module, &DeleteModuleOptions{IfMatch: `"stale"`}); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("deleted with a stale etag: %v", err)
	}
	if err := c.DeleteModule(t.Context(), device, module, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.GetModuleTwin(t.Context(), device, module); !errors.Is(err, iothub.ErrDeviceNotFound) {
		t.Errorf("the twin of a deleted module: %v", err)
	}
}

func TestUpdateModule(t *testing.T) {
	t.Parallel()
	c := startHub(t)("iothubowner")
	const device, module = "100%a#b?c", "m:1%2"
	if _, err := c.UpdateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module}, nil); !errors.Is(err, iothub.ErrUnauthorizedAccess) {
		t.Errorf("a module of no device: %v", err) // with SAS, IoT Hub does not say that the device is missing
	}
	if _, err := c.CreateDevice(t.Context(), iothub.Device{DeviceID: device}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module}, nil); !errors.Is(err, iothub.ErrModuleNotFound) {
		t.Errorf("a module that is not there: %v", err)
	}
	made, err := c.CreateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module, ManagedBy: "someone"})
	if err != nil {
		t.Fatal(err)
	}
	swapped := made
	keys := &swapped.Authentication.SymmetricKey
	keys.Primary, keys.Secondary = keys.Secondary, keys.Primary
	after, err := c.UpdateModule(t.Context(), swapped, nil)
	if err != nil || after.ETag == made.ETag || after.Authentication != swapped.Authentication || after.ManagedBy != "someone" {
		t.Fatal(after, err)
	}
	if _, err := c.UpdateModule(t.Context(), made, nil); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("with the module's own stale etag: %v", err)
	}
	if _, err := c.UpdateModule(t.Context(), after, &UpdateModuleOptions{IfMatch: made.ETag}); !errors.Is(err, iothub.ErrPreconditionFailed) {
		t.Errorf("with a stale etag given: %v", err)
	}
	if got, err := c.GetModule(t.Context(), device, module); err != nil || got.Authentication != swapped.Authentication {
		t.Errorf("a refused write changed the keys: %v, %v", got, err)
	}
	renewed, err := c.UpdateModule(t.Context(), iothub.Module{DeviceID: device, ModuleID: module}, &UpdateModuleOptions{IfMatch: iothub.Any})
	if err != nil || renewed.Authentication.SymmetricKey.Primary == swapped.Authentication.SymmetricKey.Primary || renewed.ManagedBy != "" {
		t.Errorf("what is left out is not reset: %v, %v", renewed, err)
	}
}

func TestInvokeMethodRefused(t *testing.T) {
	t.Parallel()
	c := startHub(t)("service")
	if _, err := c.InvokeMethod(t.Context(), "nobody", "", iothub.MethodRequest{Name: "reboot"}); !errors.Is(err, iothub.ErrDeviceNotFound) {
		t.Errorf("a method of no device: %v", err)
	}
}

// TestInvokeMethodIsNeverRepeated holds the one call against refusals that a
// read would meet with another try.
func TestInvokeMethodIsNeverRepeated(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*iothub.Error{iothub.ErrDeviceNotOnline, iothub.ErrGatewayTimeout, iothub.ErrBadDeviceResponse, iothub.ErrServerError} {
		t.Run(refusal.Code, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			c, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("iothub-errorcode", refusal.Code)
				w.WriteHeader(refusal.Status)
				w.Write(refusal.NestedBody("t", time.Now()))
			})
			_, err := c.InvokeMethod(t.Context(), "d", "m", iothub.MethodRequest{Name: "reboot"})
			if !errors.Is(err, refusal) || !strings.Contains(err.Error(), "method reboot of module m of device d") {
				t.Errorf("error is %v", err)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("called %d times", n)
			}
		})
	}
}

func TestInvokeMethodRequest(t *testing.T) {
	t.Parallel()
	var path, body string
	c, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		path, body = r.URL.EscapedPath(), readAll(t, r.Body)
		reply(w, http.StatusOK, iothub.MethodResult{Status: 418, Payload: json.RawMessage(`{"no":1}`)})
	})
	got, err := c.InvokeMethod(t.Context(), "a/b", "m?", iothub.MethodRequest{
		Name: "start", Payload: json.RawMessage(`{"n":1}`), Connect: 5 * time.Second, Response: 40 * time.Second,
	})
	if err != nil || got.Status != 418 || string(got.Payload) != `{"no":1}` {
		t.Errorf("answer is %v, %v", got, err)
	}
	if path != "/twins/a%2Fb/modules/m%3F/methods" {
		t.Errorf("path is %s", path)
	}
	const want = `{"methodName":"start","payload":{"n":1},"responseTimeoutInSeconds":40,"connectTimeoutInSeconds":5}`
	if body != want {
		t.Errorf("body is %s", body)
	}
}

func TestInvokeMethodWaitsAsLongAsTheMethod(t *testing.T) {
	t.Parallel()
	c, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	if d := c.patient.Transport.(*http.Transport).ResponseHeaderTimeout; d != 0 {
		t.Errorf("an answer is given up after %s", d)
	}
}
