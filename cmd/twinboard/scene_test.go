package main

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
)

// scene is all that the pages' states are about: a dashboard with devices of
// every kind, one without any, and one of hubs that fail, each in its own way.
type scene struct {
	main, empty, far *program
	hub              *hubclient.Client // main's
}

// newScene starts the dashboards.
func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{}
	devices := []fixture{manyStates, longTexts(), attacker(t), {id: "silent", tags: "{}", desired: "{}", reported: "{}"}}
	for _, id := range []string{"edited", "talker", "barred", "fobs"} {
		devices = append(devices, plain(id))
	}
	for n := range 21 {
		devices = append(devices, plain(fmt.Sprintf("batch-%02d", n+1)))
	}
	s.main = startProgram(t, "serve", "--listen", "127.0.0.1:0", "--hub-https", "127.0.0.1:0", "--hub-mqtt", "127.0.0.1:0",
		"--log-level", "error", "--data", prepare(t, devices...), "--demo", "2")
	s.hub = s.main.client(t, "iothubowner")
	s.empty = serve(t)
	s.furnish(t)
	s.main.lists(t, len(devices)+2)
	s.far = startFar(t)
	return s
}

// plain is a device with a tag, and a setting that it has not answered.
func plain(id string) fixture {
	return fixture{id: id, tags: `{"bay":"b1"}`, desired: `{"level":30}`, reported: `{"level":60}`}
}

// longTexts is a device whose values are as long as a hub lets them be, without
// a place to break a line.
func longTexts() fixture {
	long := strings.Repeat("x", iothub.MaxStringBytes)
	return fixture{
		id:   strings.Repeat("long", iothub.MaxDeviceIDLength/4),
		tags: fmt.Sprintf(`{"memo":%q}`, strings.Repeat("y", 2000)), desired: fmt.Sprintf(`{"blob":%q,%q:1}`, long, long[:500]),
		reported: fmt.Sprintf(`{"blob":"absent","dump":%q}`, long),
	}
}

// furnish does to the devices what a hub's file cannot hold.
func (s *scene) furnish(t *testing.T) {
	t.Helper()
	d, err := s.hub.GetDevice(t.Context(), "barred")
	if err != nil {
		t.Fatal(err)
	}
	d.Status, d.StatusReason = iothub.StatusDisabled, "stolen"
	if _, err := s.hub.UpdateDevice(t.Context(), d, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hub.CreateModule(t.Context(), iothub.Module{DeviceID: "edited", ModuleID: "camera"}); err != nil {
		t.Fatal(err)
	}
	patch := iothub.TwinPatch{Tags: iothub.Document{"bay": "b1"}, Desired: iothub.Document{"fps": number("25")}}
	if _, err := s.hub.UpdateModuleTwin(t.Context(), "edited", "camera", patch, nil); err != nil {
		t.Fatal(err)
	}
	s.talk(t)
}

// talk connects the device "talker", which answers direct methods by their
// names, and has it say something.
func (s *scene) talk(t *testing.T) {
	t.Helper()
	device := dial(t, s.main, s.hub, "talker")
	done(t, device.Subscribe(iothub.FilterMethods, 0, func(_ mqtt.Client, m mqtt.Message) {
		name, rid, _ := strings.Cut(strings.TrimPrefix(m.Topic(), "$iothub/methods/POST/"), "/?$rid=")
		status, answer := 200, `{"uptime":11240}`
		switch name {
		case "refuse":
			status, answer = 403, `{"reason":"locked"}`
		case "garble":
			answer = "not JSON"
		case "hang":
			return
		}
		device.Publish(fmt.Sprintf("$iothub/methods/res/%d/?$rid=%s", status, rid), 0, false, answer)
	}))
	for topic, payload := range map[string]string{
		"":                                    `{"temperature":21.5}`,
		"$.ct=application%2Fjson&alarm=smoke": `{"readings":[` + strings.Repeat("1,", 300) + `1]}`,
		"alarm=none":                          "\x00\xff\xfe",
	} {
		done(t, device.Publish("devices/talker/messages/events/"+topic, 1, false, payload))
	}
}

// dial connects a device of a program's hub.
func dial(t *testing.T, p *program, hub *hubclient.Client, id string) mqtt.Client {
	t.Helper()
	d, err := hub.GetDevice(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	token, err := iothub.Sign("localhost/devices/"+id, d.Authentication.SymmetricKey.Primary, "", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	cas, err := readCAs(p.CA)
	if err != nil {
		t.Fatal(err)
	}
	device := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + p.MQTT).SetClientID(id).
		SetUsername(iothub.UserName{Host: "localhost", DeviceID: id, APIVersion: iothub.APIVersion}.String()).SetPassword(token).
		SetTLSConfig(&tls.Config{RootCAs: cas, ServerName: "localhost", MinVersion: tls.VersionTLS12}).
		SetAutoReconnect(false).SetProtocolVersion(4))
	done(t, device.Connect())
	t.Cleanup(func() { device.Disconnect(0) })
	return device
}

// done waits for what an MQTT client does.
func done(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("MQTT: %v", token.Error())
	}
}
