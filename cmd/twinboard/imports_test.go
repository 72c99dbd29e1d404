package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// houses is the import table: what a package may import of ours. It is also the
// picture of the architecture; docs/architecture.md explains it.
var houses = map[string][]string{
	"static":               {},
	"feed":                 {},
	"hubclient/iothub":     {},
	"views/text":           {},
	"views":                {"static", "views/text"},
	"hubclient":            {"hubclient/iothub", "feed"},
	"devicesim":            {"hubclient/iothub", "feed"},
	"hubclient/fleet":      {"hubclient", "hubclient/iothub", "feed"},
	"localhub/query":       {"hubclient/iothub"},
	"localhub/store":       {"hubclient/iothub"},
	"localhub":             {"hubclient/iothub", "feed", "localhub/query", "localhub/store"},
	"localhub/conformance": {},
	"web/store":            {"hubclient/iothub"},
	"web":                  {"views", "views/text", "static", "devicesim", "hubclient", "hubclient/fleet", "hubclient/iothub", "feed", "web/store"},
	"cmd/twinboard":        nil, // wires everything
}

// technologies may be imported by these packages only, so that replacing one
// touches one or two folders.
var technologies = map[string][]string{
	"github.com/labstack/echo/v4":         {"web", "localhub"},
	"modernc.org/sqlite":                  {"localhub/store", "web/store"},
	"github.com/eclipse/paho.mqtt.golang": {"devicesim"},
	"github.com/mochi-mqtt/server/v2":     {"localhub"},
	"github.com/a-h/templ":                {"views", "web"},
}

func TestImports(t *testing.T) {
	for path, imports := range packages(t) {
		name := strings.TrimPrefix(path, "twinboard/")
		allowed, known := houses[name]
		if !known {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		for _, imported := range imports {
			own, isOurs := strings.CutPrefix(imported, "twinboard/")
			if isOurs && name != "cmd/twinboard" && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which the import table does not allow", name, own)
			}
			for module, users := range technologies {
				if (imported == module || strings.HasPrefix(imported, module+"/")) && !slices.Contains(users, name) {
					t.Errorf("%s imports %s, which belongs to %v", name, imported, users)
				}
			}
			if name == "hubclient/iothub" && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				t.Errorf("hubclient/iothub imports %s; it uses the standard library only", imported)
			}
		}
	}
}

// packages lists every package of the module with its imports.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "twinboard/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[p.ImportPath] = p.Imports
	}
}
