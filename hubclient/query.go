package hubclient

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// QueryOptions are the options of NewQueryPager.
type QueryOptions struct {
	PageSize     int    // rows a page, the hub's default (100) when 0; a hub may send fewer
	Continuation string // where to go on; from QueryPage.Continuation of the same query
}

// QueryPage is a page of a query's answer.
type QueryPage struct {
	Type         string            // iothub.ItemTwin for SELECT *, iothub.ItemDeviceJob for rows of jobs, iothub.ItemRaw for the rest
	Rows         []json.RawMessage // one JSON value each; a page may be empty and not the last
	Continuation string            // opaque; "" on the last page
}

// NewQueryPager pages through the answer to a query. Nothing is sent before the
// first page is asked for.
func (c *Client) NewQueryPager(text string, o *QueryOptions) *runtime.Pager[QueryPage] {
	var options QueryOptions
	if o != nil {
		options = *o
	}
	return runtime.NewPager(runtime.PagingHandler[QueryPage]{
		More: func(p QueryPage) bool { return p.Continuation != "" },
		Fetcher: func(ctx context.Context, last *QueryPage) (QueryPage, error) {
			continuation := options.Continuation
			if last != nil {
				continuation = last.Continuation
			}
			return c.QueryPage(ctx, text, continuation, options.PageSize)
		},
	})
}

// QueryPage reads one page: the first with an empty continuation, otherwise the
// one that a page of the same query points to. pageSize 0 leaves it to the hub.
// A query the hub does not accept is a *QueryError when the hub says where, else
// iothub.ErrArgumentInvalid.
func (c *Client) QueryPage(ctx context.Context, text, continuation string, pageSize int) (QueryPage, error) {
	header := map[string]string{}
	if pageSize > 0 {
		header["x-ms-max-item-count"] = strconv.Itoa(pageSize)
	}
	if continuation != "" {
		header["x-ms-continuation"] = continuation
	}
	resp, err := c.send(ctx, call{
		method: http.MethodPost, path: "/devices/query", header: header, safe: true,
		body: map[string]string{"query": text},
	})
	if err != nil {
		return QueryPage{}, fmt.Errorf("query: %w", err)
	}
	page := QueryPage{
		Type:         resp.Header.Get("x-ms-item-type"),
		Continuation: resp.Header.Get("x-ms-continuation"),
	}
	body, err := runtime.Payload(resp)
	if err == nil {
		err = json.Unmarshal(body, &page.Rows)
	}
	if err != nil {
		return QueryPage{}, fmt.Errorf("query: %w", c.notAHub(err))
	}
	return page, nil
}
