package localhub

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

const (
	// maxBody leaves room for a whole twin sent back with all its $metadata,
	// which can be ten times as large as its values. The service's own limit is
	// not documented.
	maxBody = 2 << 20
	// maxBulkBody fits a hundred identities with full tags and desired.
	maxBulkBody = 8 << 20
	// largeBody is far more than a twin has; largeAtOnce bodies that are larger
	// are taken apart at a time.
	largeBody   = 256 << 10
	largeAtOnce = 4
	// idleTimeout is long because Node's SDK reuses idle sockets and does not
	// repeat a request that hits a closed one.
	idleTimeout       = 5 * time.Minute
	readHeaderTimeout = 20 * time.Second
	requestTimeout    = time.Minute // to read a request, and to write an answer
	maxHeader         = 64 << 10    // a token and a continuation are far shorter
)

// Names of headers are spelled as net/http sends them: it would put another
// spelling right each time.
const headerRequestID = "X-Ms-Request-Id"

// restServer is the service API: HTTP to registry and back.
type restServer struct {
	hub   *Hub
	http  *http.Server
	echo  *echo.Echo
	lobby *lobby
	large chan struct{} // holds one for each large body that is taken apart
	// stopping ends every stream, so that close need not wait for them.
	stopping  chan struct{}
	stop      func()
	heartbeat time.Duration // of streams
}

// route is one operation of the service API and the right it takes.
type route struct {
	method, path string
	right        permission
	handle       func(c echo.Context, by caller) error
}

// routes is the whole service API. The rights are those of the IoT Hub
// documentation, control access; which one statistics of the service take is
// not said there, and reading the registry is our choice.
func (s *restServer) routes() []route {
	return []route{
		{http.MethodGet, "/devices", registryRead, s.deviceList},
		{http.MethodPost, "/devices", registryWrite, s.deviceBulk},
		{http.MethodGet, "/devices/:id", registryRead, s.deviceGet},
		{http.MethodPut, "/devices/:id", registryWrite, s.devicePut},
		{http.MethodDelete, "/devices/:id", registryWrite, s.deviceDelete},
		{http.MethodDelete, "/devices/:id/commands", serviceConnect, s.commandsPurge},
		{http.MethodGet, "/devices/:id/modules", registryRead, s.moduleList},
		{http.MethodGet, "/devices/:id/modules/:mid", registryRead, s.moduleGet},
		{http.MethodPut, "/devices/:id/modules/:mid", registryWrite, s.modulePut},
		{http.MethodDelete, "/devices/:id/modules/:mid", registryWrite, s.moduleDelete},
		{http.MethodGet, "/statistics/devices", registryRead, s.statisticsDevices},
		{http.MethodGet, "/statistics/service", registryRead, s.statisticsService},
		{http.MethodGet, "/twins/:id", serviceConnect, s.twinGet},
		{http.MethodPatch, "/twins/:id", serviceConnect, s.twinPatch},
		{http.MethodPut, "/twins/:id", serviceConnect, s.twinPut},
		{http.MethodPost, "/twins/:id/methods", serviceConnect, s.methodInvoke},
		{http.MethodPost, "/twins/:id/modules/:mid/methods", serviceConnect, s.methodInvoke},
		{http.MethodGet, "/twins/:id/modules/:mid", serviceConnect, s.twinGet},
		{http.MethodPatch, "/twins/:id/modules/:mid", serviceConnect, s.twinPatch},
		{http.MethodPut, "/twins/:id/modules/:mid", serviceConnect, s.twinPut},
		{http.MethodPost, "/devices/query", serviceConnect, s.queryRun},
		{http.MethodGet, "/jobs/v2/query", serviceConnect, s.jobList},
		{http.MethodPut, "/jobs/v2/:id", serviceConnect, s.jobPut},
		{http.MethodGet, "/jobs/v2/:id", serviceConnect, s.jobGet},
		{http.MethodPost, "/jobs/v2/:id/cancel", serviceConnect, s.jobCancel},
		// Ours:
		{http.MethodGet, "/changes", serviceConnect, s.changesStream},
		{http.MethodGet, "/changes/bodies/:id", serviceConnect, s.messageBody},
	}
}

func newRESTServer(h *Hub) *restServer {
	s := &restServer{hub: h, lobby: newLobby(), large: make(chan struct{}, largeAtOnce), stopping: make(chan struct{}), heartbeat: changesHeartbeat}
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.answerError
	s.echo = e
	e.Use(withoutOptions)
	for _, r := range s.routes() {
		offer(e, r.method, r.path, s.guard(r))
	}
	for _, a := range absences() {
		offer(e, a.method, a.path, s.refuse(a))
	}
	// Devices prove who they are in CONNECT, as on the other port.
	e.GET("/$iothub/websocket", s.deviceWebSocket)
	s.http = &http.Server{
		Handler:           normalized(e),
		TLSConfig:         h.serverTLS(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout, // streams lift it for themselves
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConn,
		// "OPTIONS *" is refused as every other OPTIONS is.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(h.log.Handler(), slog.LevelInfo),
	}
	return s
}

// withoutOptions treats OPTIONS as any other method that is not offered, where
// Echo would answer by itself, to everybody.
func withoutOptions(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Request().Method == http.MethodOptions {
			return echo.ErrMethodNotAllowed
		}
		return next(c)
	}
}

// offer adds an operation. Without the second route, an id at the end of a path
// would be all the rest of it.
func offer(e *echo.Echo, method, path string, handle echo.HandlerFunc) {
	e.Add(method, path, handle)
	if last := path[strings.LastIndex(path, "/")+1:]; strings.HasPrefix(last, ":") {
		e.RouteNotFound(path+"/*", echo.NotFoundHandler)
	}
}

// start serves on a plain TCP listener until close.
func (s *restServer) start(ln net.Listener) {
	go func() {
		if err := s.http.ServeTLS(newLobbyListener(ln, s.lobby), "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.hub.log.Error("service api stopped", "error", err)
		}
	}()
}

// close ends the streams first, then lets running requests finish within ctx.
func (s *restServer) close(ctx context.Context) error {
	s.stop()
	ctx, cancel := context.WithTimeout(ctx, restGrace)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// restGrace is how long requests under way may take to end when the hub stops;
// streams and waiting calls end at once. Shutdown would also wait five seconds
// for a connection that was opened and never used.
const restGrace = 2 * time.Second

// authorize checks the token, then the api-version. Where the right is that of
// devices, a device may sign for itself.
func (s *restServer) authorize(c echo.Context, right permission) (by caller, err error) {
	req := c.Request()
	header, path := req.Header.Get("Authorization"), strings.Trim(req.URL.Path, "/")
	if right == deviceConnect {
		_, err = s.hub.authorizeDevice(req.Context(), twinKey{DeviceID: pathID(c)}, header)
		if isNotFound(err) { // strangers are not told which devices there are
			err = iothub.ErrUnauthorized.With("the signature was made with neither key of %s", path)
		}
	} else {
		by, err = s.hub.authorizeService(req.Context(), header, path, right)
	}
	if err != nil {
		return by, err
	}
	known(connectionOf(c))
	return by, checkVersion(c.QueryParam("api-version"))
}

// guard lets a request through to its operation: first the token, then the
// api-version, the size of the body and the throttle.
func (s *restServer) guard(r route) echo.HandlerFunc {
	limit, group := r.maxBody(), r.throttledAs()
	return func(c echo.Context) error {
		by, err := s.authorize(c, r.right)
		if err != nil {
			return err
		}
		req := c.Request()
		if req.ContentLength > limit {
			return tooLarge(limit)
		}
		if err := s.hub.throttle.pass(req.Context(), group, 1); err != nil {
			return err
		}
		req.Body = http.MaxBytesReader(c.Response(), req.Body, limit)
		if req.ContentLength >= 0 && req.ContentLength <= largeBody || r.calls() {
			return r.handle(c, by)
		}
		return s.handleLarge(c, by, r)
	}
}

// handleLarge takes few large bodies apart at a time: as values they need many
// times their size. Each is read before, so that whoever sends slowly holds
// nobody up.
func (s *restServer) handleLarge(c echo.Context, by caller, r route) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	c.Request().Body = io.NopCloser(bytes.NewReader(text))
	if len(text) > largeBody {
		select {
		case s.large <- struct{}{}:
			defer func() { <-s.large }()
		case <-c.Request().Context().Done():
			return context.Cause(c.Request().Context())
		}
	}
	return r.handle(c, by)
}

// calls reports whether a route waits for a device; its body is bounded by the
// payload of a method.
func (r route) calls() bool { return strings.HasSuffix(r.path, "/methods") }

func (r route) bulk() bool { return r.method == http.MethodPost && r.path == "/devices" }

func (r route) maxBody() int64 {
	if r.bulk() {
		return maxBulkBody
	}
	return maxBody
}

var wellFormedVersion = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-preview)?$`)

// checkVersion accepts any well-formed api-version, which is our choice: the
// service refuses those it does not know.
func checkVersion(v string) error {
	if v == "" {
		return iothub.ErrInvalidVersion.With("the query parameter api-version is missing; use api-version=%s", iothub.APIVersion)
	}
	if !wellFormedVersion.MatchString(v) {
		return iothub.ErrInvalidVersion.With("api-version %q is not a date; use api-version=%s", v, iothub.APIVersion)
	}
	return nil
}

// capitals are segments below messages that SDKs write with a capital or without.
var capitals = map[string]string{"devicebound": "deviceBound", "servicebound": "serviceBound"}

// normalized gives every request an id and one spelling of its path: each
// segment escaped the same way, no slash at the end. SDKs differ in both, and
// Node lists devices with /devices/?api-version=.
func normalized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(headerRequestID, newRequestID())
		segments := strings.Split(strings.TrimRight(r.URL.EscapedPath(), "/"), "/")
		for i, raw := range segments {
			if decoded, err := url.PathUnescape(raw); err == nil {
				segments[i] = url.PathEscape(decoded)
			}
			if right, ok := capitals[segments[i]]; ok && i > 0 && segments[i-1] == "messages" {
				segments[i] = right
			}
		}
		r.URL.RawPath = strings.Join(segments, "/")
		if r.URL.RawPath == "" {
			r.URL.RawPath = "/"
		}
		next.ServeHTTP(w, r)
	})
}

// pathID is the device's id in the path.
func pathID(c echo.Context) string { return pathParam(c, "id") }

// pathKey names the device or, where the path goes on, the module.
func pathKey(c echo.Context) twinKey { return twinKey{pathID(c), pathParam(c, "mid")} }

// pathParam is an id in the path, decoded once; routing has split it off before.
func pathParam(c echo.Context, name string) string {
	raw := c.Param(name)
	if id, err := url.PathUnescape(raw); err == nil {
		return id
	}
	return raw
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says its documentation
	return hex.EncodeToString(b[:])
}

// body reads what guard has limited.
func body(c echo.Context) ([]byte, error) {
	b, err := io.ReadAll(c.Request().Body)
	if over, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge(over.Limit)
	}
	if err != nil {
		return nil, iothub.ErrGenericBadRequest.With("the body ended early")
	}
	return b, nil
}

func tooLarge(limit int64) error {
	return iothub.ErrRequestEntityTooLong.With("the body is larger than %d bytes", limit)
}
