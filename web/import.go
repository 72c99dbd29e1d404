package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"twinboard/hubclient/iothub"
	"twinboard/views"
	"twinboard/views/text"
)

// mostMade bounds the devices that one pattern names.
const mostMade = 10_000

// importPage asks for many devices: by a pattern or as CSV.
func (s *Server) importPage(c echo.Context) error {
	return s.showImport(c, http.StatusOK, views.ImportProps{Action: hubOf(c).path() + "/import"})
}

func (s *Server) showImport(c echo.Context, status int, p views.ImportProps) error {
	page, err := s.frame(c, "devices")
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	page.Title = text.T(ctx, "import.title")
	page.Back = views.Link{Label: text.T(ctx, "devices.title"), Href: hubOf(c).devicesPath()}
	p.CancelHref = hubOf(c).devicesPath()
	p.FileHint = text.T(ctx, "import.file.hint", "Limit", text.Size(ctx, maxBody))
	return render(c, status, views.ImportPage(page, p))
}

// importCheck reads what was typed or uploaded. Without mistakes it asks on a
// page of its own; with some it shows them with the text, and offers to add the
// rest.
func (s *Server) importCheck(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return badForm(err)
	}
	h, ctx := hubOf(c), c.Request().Context()
	p := views.ImportProps{
		Action: h.path() + "/import", Pattern: form.Get("pattern"), Tags: form.Get("tags"), Desired: form.Get("desired"), CSV: form.Get("csv"),
	}
	items, problems, err := s.importItems(c, h, form, &p)
	if err != nil {
		return err
	}
	if len(items) > 0 && (len(problems) == 0 || form.Get("only") == "good") {
		return s.askBulk(c, actCreate, items)
	}
	for _, wrong := range problems {
		p.Problems = append(p.Problems, views.LineProblem{Line: lineText(ctx, wrong.line), ID: wrong.id, Text: wrong.text})
	}
	if len(items) > 0 {
		p.OnlyGood = text.T(ctx, "import.only-good", "Count", len(items))
	}
	return s.showImport(c, http.StatusUnprocessableEntity, p)
}

func lineText(ctx context.Context, line int) string {
	if line == 0 {
		return ""
	}
	return text.T(ctx, "import.line", "Line", strconv.Itoa(line))
}

// importItems reads whichever form was sent.
func (s *Server) importItems(c echo.Context, h *Hub, form url.Values, p *views.ImportProps) ([]bulkItem, []lineProblem, error) {
	ctx := c.Request().Context()
	taken := func(id string) bool { _, known := h.Fleet.Get(id); return known }
	if form.Get("by") == "pattern" {
		items, problems := readPattern(ctx, p.Pattern, p.Tags, p.Desired, taken)
		return items, problems, nil
	}
	if file, err := c.FormFile("file"); err == nil && file.Size > 0 {
		f, err := file.Open()
		if err != nil {
			return nil, nil, fmt.Errorf("uploaded file: %w", err)
		}
		defer f.Close()
		content, err := io.ReadAll(f)
		if err != nil {
			return nil, nil, fmt.Errorf("uploaded file: %w", err)
		}
		p.CSV = string(content)
	}
	items, problems := readCSV(ctx, p.CSV, taken)
	return items, problems, nil
}

// numbers are the braces of a pattern: pump-{01..50}.
var numbers = regexp.MustCompile(`^(.*)\{(\d+)\.\.(\d+)\}(.*)$`)

// readPattern makes a device for each name of a pattern, all alike.
func readPattern(ctx context.Context, pattern, tags, desired string, taken func(string) bool) ([]bulkItem, []lineProblem) {
	m := &importer{ctx: ctx, taken: taken, seen: map[string]int{}}
	made := newDevice{tags: m.document("tags", tags), desired: m.document("desired", desired)}
	for _, id := range m.names(strings.TrimSpace(pattern)) {
		item, before := bulkItem{id: id, made: made}, len(m.problems)
		m.checkID(&item)
		if len(m.problems) == before {
			m.items = append(m.items, item)
		}
	}
	if len(m.items) > 0 {
		before := len(m.problems)
		m.checkDevice(bulkItem{made: made})
		if len(m.problems) > before {
			m.items = nil // none of them would be taken
		}
	}
	return m.items, m.problems
}

// names are those that a pattern stands for. Numbers are as wide as the first is
// written.
func (m *importer) names(pattern string) []string {
	part := numbers.FindStringSubmatch(pattern)
	if part == nil {
		m.wrong(0, "", "import.pattern.braces")
		return nil
	}
	from, errFrom := strconv.Atoi(part[2])
	to, errTo := strconv.Atoi(part[3])
	if errFrom != nil || errTo != nil || to < from || to-from >= mostMade {
		m.wrong(0, "", "import.pattern.range", "Count", mostMade)
		return nil
	}
	var ids []string
	for n := from; n <= to; n++ {
		ids = append(ids, fmt.Sprintf("%s%0*d%s", part[1], len(part[2]), n, part[4]))
	}
	return ids
}

// document reads the JSON typed for a section; nothing typed is none.
func (m *importer) document(section, typed string) iothub.Document {
	if strings.TrimSpace(typed) == "" {
		return nil
	}
	d, err := iothub.ParseDocument([]byte(typed))
	if err == nil {
		err = uniqueMembers([]byte(typed))
	}
	if err != nil {
		m.problems = append(m.problems, lineProblem{0, section, jsonMistake(m.ctx, typed, err).Text})
		return nil
	}
	return d
}
