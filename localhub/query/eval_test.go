package query

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// awkwardTwins are twins chosen for what goes wrong: numbers as text, arrays
// and objects where values are expected, keyword and Unicode names, absent
// and empty things. They are as a hub shows them when it is told what
// seeds.json holds; the tests of package localhub write them, and ask a hub for
// the same rows.
func awkwardTwins(t testing.TB) []Document {
	t.Helper()
	twins := readTwins(t, "testdata/twins.json")
	if len(twins) < 100 {
		t.Fatalf("%d twins, want at least 100", len(twins))
	}
	return twins
}

func readTwins(t testing.TB, file string) []Document {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.UseNumber()
	var twins []Document
	if err := d.Decode(&twins); err != nil {
		t.Fatal(err)
	}
	return twins
}

// columns returns the row as a store would that keeps values, not documents.
func columns(t testing.TB, q *Query, doc Document) Values {
	t.Helper()
	values := make(Values, len(q.AllPaths()))
	for i, path := range q.AllPaths() {
		var at any = map[string]any(doc)
		found := true
		for _, key := range path.Keys() {
			object, _ := at.(map[string]any)
			if at, found = object[key]; !found {
				break
			}
		}
		if !found {
			continue
		}
		text, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		if values[i], err = FromJSON(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// answer runs a query over twins as a hub would: ids of whole twins in one
// line, other rows as JSON, each on its own line.
func answer(t *testing.T, q *Query, twins []Document, row func(Document) Row) string {
	t.Helper()
	groups := q.NewGroups()
	var ids []string
	var records []Record
	candidates, narrowed := q.DeviceIDs()
	jobs, narrowedJobs := q.JobIDs()
	for _, twin := range twins {
		r := row(twin)
		if collection(twin) != q.Source || !q.Match(r) {
			continue
		}
		id := twin["deviceId"].(string)
		if narrowed && !slices.Contains(candidates, id) {
			t.Errorf("%s: %s matches and is no candidate", q, id)
		}
		if job, _ := twin["jobId"].(string); narrowedJobs && !slices.Contains(jobs, job) {
			t.Errorf("%s: job %s matches and is no candidate", q, job)
		}
		if q.Source == Modules {
			ids = append(ids, id+"/"+twin["moduleId"].(string))
		} else {
			ids = append(ids, id)
		}
		if q.Grouped() {
			groups.Add(r)
		} else if !q.Star() {
			records = append(records, q.Project(r))
		}
	}
	if q.Star() {
		return strings.Join(firstRows(ids, q.Top), " ")
	}
	if q.Grouped() {
		records = groups.Records()
	}
	var lines []string
	for _, record := range firstRows(records, q.Top) {
		line, err := record.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(line))
	}
	return strings.Join(lines, "\n")
}

// collection is where a document belongs.
func collection(d Document) Source {
	switch {
	case d["jobId"] != nil:
		return Jobs
	case d["moduleId"] != nil:
		return Modules
	}
	return Devices
}

func firstRows[T any](rows []T, top int) []T {
	if top > 0 && top < len(rows) {
		return rows[:top]
	}
	return rows
}

func goldenRows(t *testing.T, file string, least int, twins []Document) {
	t.Helper()
	golden(t, file, least, func(t *testing.T, text string) string {
		q, err := Parse(text)
		if err != nil {
			return err.Error()
		}
		fromDocuments := answer(t, q, twins, func(d Document) Row { return d })
		fromColumns := answer(t, q, twins, func(d Document) Row { return columns(t, q, d) })
		if fromDocuments != fromColumns {
			t.Errorf("%s\nover documents: %s\nover columns: %s", text, fromDocuments, fromColumns)
		}
		return fromDocuments
	})
}

func TestRows(t *testing.T) { goldenRows(t, "testdata/rows.txt", 300, awkwardTwins(t)) }

// TestStrangeRows asks for documents that no hub would store: nulls, integers
// beyond its bounds, names it refuses, sections that are no objects.
func TestStrangeRows(t *testing.T) {
	goldenRows(t, "testdata/strange.txt", 25, readTwins(t, "testdata/strange.json"))
}

// TestJobRows asks for the rows of jobs, whose published examples are among the
// queries.
func TestJobRows(t *testing.T) {
	goldenRows(t, "testdata/jobs.txt", 9, readTwins(t, "testdata/jobs.json"))
}

// TestDocumentedExamples runs the queries of Microsoft's pages, samples and
// tools.
func TestDocumentedExamples(t *testing.T) {
	goldenRows(t, "testdata/documented.txt", 24, awkwardTwins(t))
}
