package web

import (
	"encoding/csv"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// writeCSV answers with a file of rows under a head, as they come. Every CSV of
// the dashboard goes through it, so that no cell is taken for a formula.
func writeCSV(c echo.Context, name string, head []string, rows iter.Seq[[]string]) error {
	w := c.Response()
	w.Header().Set(echo.HeaderContentType, "text/csv; charset=utf-8")
	w.Header().Set(echo.HeaderContentDisposition, fmt.Sprintf("attachment; filename=%q", name))
	w.WriteHeader(http.StatusOK)
	out := csv.NewWriter(w)
	_ = out.Write(csvCells(head)) // Error tells
	for row := range rows {
		if err := out.Write(csvCells(row)); err != nil {
			break
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// csvCells guards every cell.
func csvCells(row []string) []string {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = csvCell(cell)
	}
	return cells
}

func csvTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Format(time.RFC3339)
}
