package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checker finds what the grammar allows and the language does not mean. It
// also resolves paths and collects warnings.
type checker struct {
	text string
	q    *Query
}

func check(q *Query, p *parser) *Error {
	c := checker{p.text, q}
	c.paths()
	if err := c.source(); err != nil {
		return err
	}
	if err := c.selectList(); err != nil {
		return err
	}
	if err := c.where(); err != nil {
		return err
	}
	c.names()
	if len(p.comments) > 0 {
		c.warn(p.comments[0].span(), codeComment)
	}
	slices.SortStableFunc(q.Warnings, func(a, b Warning) int { return a.Offset - b.Offset })
	return nil
}

// paths resolves every path and gives equal ones one slot, WHERE first: what
// decides about a row can then be fetched without the rest.
func (c *checker) paths() {
	slots := map[string]int{}
	add := func(p *Path) {
		p.keys = resolve(p.Segments, c.q.Source)
		p.name = fmt.Sprintf("%q", p.keys) // no separator is safe in a key
		slot, known := slots[p.name]
		if !known {
			slot = len(c.q.paths)
			slots[p.name] = slot
			c.q.paths = append(c.q.paths, p)
		}
		p.slot = slot
		c.checkPath(p)
	}
	walk(c.q.Where, func(e Expr) {
		if p, ok := e.(*Path); ok {
			add(p)
		}
	})
	c.q.wherePaths = len(c.q.paths)
	for _, item := range c.q.Items {
		if item.Path != nil {
			add(item.Path)
		}
	}
	for _, p := range c.q.GroupBy {
		add(p)
	}
}

// checkPath warns of names no twin has. The hub answers such queries, so they
// are not refused: IoT Explorer itself asks for statusUpdatedTime.
func (c *checker) checkPath(p *Path) {
	root := len(p.Segments) - len(p.keys)
	at, name := p.spans[root], p.keys[0]
	if c.q.Source == Jobs {
		c.checkJobField(name, at)
		return
	}
	insert := func(w *Warning, text string) { w.Repair = &Repair{at.start, at.start, text} }
	switch known := slices.Contains(systemFields, name); {
	case known && name == "properties" && len(p.keys) > 1:
		c.checkSection(p, root+1)
	case known:
	case name == "desired" || name == "reported":
		insert(c.warn(at, codeSectionAlone, "name", name), "properties.")
	default:
		near := closest(name, systemFields...)
		if strings.EqualFold(name, "id") {
			near = "deviceId"
		}
		if near != "" {
			c.warn(at, codeMisspeltField, "name", shorten(name), "instead", near).Repair = &Repair{at.start, at.end, near}
			return
		}
		insert(c.warn(at, codeUnknownField, "name", shorten(name)), "properties.reported.")
	}
}

// checkJobField warns of a name that no row of jobs has.
func (c *checker) checkJobField(name string, at span) {
	if slices.Contains(jobFields, name) {
		return
	}
	if near := closest(name, jobFields...); near != "" {
		c.warn(at, codeMisspeltJobField, "name", shorten(name), "instead", near).Repair = &Repair{at.start, at.end, near}
		return
	}
	c.warn(at, codeUnknownJobField, "name", shorten(name), "fields", strings.Join(jobFields, ", "))
}

// checkSection warns when the segment i, behind properties, is no section.
func (c *checker) checkSection(p *Path, i int) {
	name, at := p.Segments[i], p.spans[i]
	if name == "desired" || name == "reported" {
		return
	}
	if near := closest(name, "desired", "reported"); near != "" {
		c.warn(at, codeMisspeltSection, "name", shorten(name), "instead", near).Repair = &Repair{at.start, at.end, near}
		return
	}
	c.warn(at, codeUnknownSection, "name", shorten(name)).Repair = &Repair{at.start, at.start, "reported."}
}

// source checks what can be asked of the collection. IoT Hub's documentation has
// GROUP BY for device twins only, and rows of jobs only as a whole.
func (c *checker) source() *Error {
	switch {
	case c.q.Source == Jobs && !c.q.Star():
		at := c.q.Items[0].at.to(c.q.Items[len(c.q.Items)-1].at)
		return c.fail(at, codeJobsStar).replace("*")
	case c.q.Source != Devices && len(c.q.GroupBy) > 0:
		return c.fail(c.q.GroupBy[0].at, codeGroupSource, "source", string(c.q.Source))
	}
	return nil
}

// selectList checks that a grouped query asks only for what a group has.
func (c *checker) selectList() *Error {
	if !c.q.Grouped() {
		return nil
	}
	if c.q.Star() {
		return c.fail(c.q.GroupBy[0].at, codeGroupStar)
	}
	for _, item := range c.q.Items {
		grouped := item.Aggregate != "" || slices.ContainsFunc(c.q.GroupBy, func(p *Path) bool { return p.slot == item.Path.slot })
		if !grouped {
			return c.fail(item.Path.at, codeNotGrouped, "path", shorten(item.Path.String()))
		}
	}
	return nil
}

// names warns when two elements of SELECT fill the same member. Choice: the
// later one wins, as with members of JSON objects.
func (c *checker) names() {
	taken := map[string]bool{}
	for _, item := range c.q.Items {
		name := nameOf(item)
		if taken[name] {
			c.warn(item.at, codeSameName, "name", shorten(name))
		}
		taken[name] = true
	}
}

func (c *checker) where() *Error {
	var first *Error
	walk(c.q.Where, func(e Expr) {
		if first != nil {
			return
		}
		switch e := e.(type) {
		case *Call:
			first = c.call(e)
		case *Binary:
			c.comparison(e)
		}
	})
	return first
}

func (c *checker) call(e *Call) *Error {
	f, known := functions[e.Name]
	if !known {
		return c.noFunction(e)
	}
	if len(e.Args) != f.args {
		code := codeOneArgument
		if f.args == 2 {
			code = codeTwoArguments
		}
		return c.fail(e.at, code, "name", e.Name, "got", strconv.Itoa(len(e.Args)))
	}
	if _, path := e.Args[0].(*Path); e.Name == "IS_DEFINED" && !path {
		at := e.Args[0].span()
		return c.fail(at, codeIsDefinedPath, "found", shorten(c.text[at.start:at.end]))
	}
	return nil
}

func (c *checker) noFunction(e *Call) *Error {
	if code, ok := refused[e.Name]; ok {
		err := c.fail(e.name, code)
		if instead := replacements[e.Name]; instead != "" {
			err.replace(instead)
		}
		return err
	}
	if routeFunctions[e.Name] {
		return c.fail(e.name, codeRouteFunction, "name", e.Name)
	}
	candidates := make([]string, 0, len(functions))
	for name := range functions {
		candidates = append(candidates, name)
	}
	slices.Sort(candidates)
	if near := closest(e.Name, candidates...); near != "" {
		return c.fail(e.name, codeMisspeltFunction, "name", e.Name, "instead", near).replace(near)
	}
	return c.fail(e.name, codeUnknownFunction, "name", shorten(e.Name))
}

// comparison warns of constants that make a comparison pointless.
func (c *checker) comparison(e *Binary) {
	if bindings[e.Op] != bindComparison {
		return
	}
	for _, side := range [2][2]Expr{{e.X, e.Y}, {e.Y, e.X}} {
		constant, ok := side[1].(*Const)
		if !ok {
			continue
		}
		path, isPath := side[0].(*Path)
		section := isPath && (path.keys[0] == "tags" || path.keys[0] == "properties")
		switch {
		case constant.Value.typ == Undefined:
			c.repairMissing(c.warn(e.span(), codeNeverComparison), e, path)
			return
		case constant.Value.typ == Array:
			c.warn(e.span(), codeArrayComparison)
			return
		case constant.Value.typ == Null && section:
			c.repairMissing(c.warn(e.span(), codeNullComparison), e, path)
			return
		}
	}
}

// repairMissing offers IS_DEFINED for a comparison that meant to ask whether
// the property exists. The path may be nil.
func (c *checker) repairMissing(w *Warning, e *Binary, path *Path) {
	at := e.span()
	switch {
	case path == nil:
	case e.Op == Equal:
		w.Repair = &Repair{at.start, at.end, "NOT IS_DEFINED(" + path.String() + ")"}
	case e.Op == NotEqual:
		w.Repair = &Repair{at.start, at.end, "IS_DEFINED(" + path.String() + ")"}
	}
}

func (c *checker) fail(at span, code Code, args ...string) *Error {
	return newError(c.text, at, code, args...)
}

// mostWarnings is how many a query keeps: nobody reads more, and a long query
// could earn thousands.
const mostWarnings = 20

// warn returns the warning, so that a repair can be added at once.
func (c *checker) warn(at span, code Code, args ...string) *Warning {
	if len(c.q.Warnings) == mostWarnings {
		return &Warning{}
	}
	c.q.Warnings = append(c.q.Warnings, newProblem(c.text, at, code, args...))
	return &c.q.Warnings[len(c.q.Warnings)-1]
}
