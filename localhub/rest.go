package localhub

import (
	"context"
	"net"
)

type restServer struct{}

func newRESTServer(h *Hub) (*restServer, error)       { return &restServer{}, nil }
func (s *restServer) start(ln net.Listener) error     { return nil }
func (s *restServer) close(ctx context.Context) error { return nil }
