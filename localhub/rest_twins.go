package localhub

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
)

func (s *restServer) twinGet(c echo.Context, by caller) error {
	t, err := s.hub.registry.twin(c.Request().Context(), pathKey(c))
	if err != nil {
		return err
	}
	return answerTwin(c, t)
}

func (s *restServer) twinPatch(c echo.Context, by caller) error {
	return writeTwin(c, by, s.hub.registry.updateTwin)
}

func (s *restServer) twinPut(c echo.Context, by caller) error {
	return writeTwin(c, by, s.hub.registry.replaceTwin)
}

type twinWrite func(context.Context, actor, twinKey, iothub.TwinPatch, iothub.ETag) (*iothub.Twin, error)

func writeTwin(c echo.Context, by caller, write twinWrite) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	patch, err := iothub.ParseTwinPatch(text)
	if err != nil {
		return err
	}
	t, err := write(c.Request().Context(), actor{Policy: by.policy}, pathKey(c), patch, ifMatch(c))
	if err != nil {
		return err
	}
	return answerTwin(c, t)
}

func answerTwin(c echo.Context, t *iothub.Twin) error {
	c.Response().Header().Set("ETag", t.ETag.Header())
	return answer(c, http.StatusOK, t)
}

const (
	headerItemType     = "X-Ms-Item-Type"
	headerContinuation = "X-Ms-Continuation"
	headerMaxItems     = "X-Ms-Max-Item-Count"
)

// queryRun answers one page as a bare array. The last page carries no
// continuation header at all: Node's SDK takes even an empty one for more.
func (s *restServer) queryRun(c echo.Context, by caller) error {
	text, err := body(c)
	if err != nil {
		return err
	}
	var q struct {
		Query *string `json:"query"`
	}
	if err := readJSON(text, &q); err != nil {
		return err
	}
	if q.Query == nil || *q.Query == "" {
		return iothub.ErrArgumentNull.With("the body needs a member query")
	}
	head := c.Request().Header
	p, err := s.hub.registry.query(c.Request().Context(), *q.Query, head.Get(headerContinuation), pageSize(head.Get(headerMaxItems)))
	if err != nil {
		return err
	}
	return answerPage(c, p)
}

func answerPage(c echo.Context, p page) error {
	c.Response().Header().Set(headerItemType, p.Type)
	if p.Continuation != "" {
		c.Response().Header().Set(headerContinuation, p.Continuation)
	}
	return blob(c, http.StatusOK, arrayOf(p.Rows))
}

// arrayOf joins rows, which are JSON as it goes out: encoding them once more
// takes longer than finding them.
func arrayOf(rows []json.RawMessage) []byte {
	size := 2
	for _, row := range rows {
		size += len(row) + 1
	}
	b := append(make([]byte, 0, size), '[')
	for i, row := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, row...)
	}
	return append(b, ']')
}

// pageSize reads x-ms-max-item-count. A larger page than the service gives is
// cut, not refused, which is our choice.
func pageSize(header string) int {
	n, err := strconv.Atoi(header)
	if err != nil || n < 1 || n > iothub.MaxPageSize {
		return iothub.MaxPageSize
	}
	return n
}
