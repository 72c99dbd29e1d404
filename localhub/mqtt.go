package localhub

import (
	"context"
	"net"
)

type mqttServer struct{}

func newMQTTServer(h *Hub) (*mqttServer, error)       { return &mqttServer{}, nil }
func (s *mqttServer) start(ln net.Listener) error     { return nil }
func (s *mqttServer) close(ctx context.Context) error { return nil }
