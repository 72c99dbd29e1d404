package web

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
)

func TestCSVHoldsNoFormulas(t *testing.T) {
	row := []string{"=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-5", "-1.5e3", "plain", "", "a=b", "–", "a,b\n\"c\"", "-"}
	want := []string{"'=1+1", "'+1", "'-2+3", "'@SUM(A1)", "'\t=1", "'\r=1", "-5", "-1.5e3", "plain", "", "a=b", "–", "a,b\n\"c\"", "'-"}
	answer := httptest.NewRecorder()
	c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, "/", nil), answer)
	if err := writeCSV(c, "x.csv", []string{"=head", "b"}, slices.Values([][]string{row})); err != nil {
		t.Fatal(err)
	}
	if got := answer.Header().Get("Content-Disposition"); got != `attachment; filename="x.csv"` {
		t.Error(got)
	}
	r := csv.NewReader(strings.NewReader(answer.Body.String()))
	r.FieldsPerRecord = -1
	got, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([][]string{{"'=head", "b"}, want}, got); d != "" {
		t.Error(d)
	}
}
