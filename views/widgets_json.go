package views

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// JSONNode is one value of a document as the tree shows it.
type JSONNode struct {
	Key  string // of an object's entry, or the place in an array; "" at the top
	Path string // of keys to it, unique in the tree
	Kind string // "object", "array", "string", "number", "bool", "null"
	Text string // of a leaf, as JSON writes it
	// Children of an object come in the order of their names.
	Children []JSONNode
}

// JSONTreeOf makes the tree of a decoded document. Numbers should be
// json.Number, which is shown as it arrived.
func JSONTreeOf(value any) JSONNode { return node("", "", value) }

func node(key, path string, value any) JSONNode {
	n := JSONNode{Key: key, Path: path}
	switch v := value.(type) {
	case map[string]any:
		n.Kind = "object"
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			n.Children = append(n.Children, node(name, path+"/"+name, v[name]))
		}
	case []any:
		n.Kind = "array"
		for i, item := range v {
			at := strconv.Itoa(i)
			n.Children = append(n.Children, node(at, path+"/"+at, item))
		}
	case string:
		n.Kind, n.Text = "string", quote(v)
	case bool:
		n.Kind, n.Text = "bool", strconv.FormatBool(v)
	case nil:
		n.Kind, n.Text = "null", "null"
	default:
		n.Kind, n.Text = "number", fmt.Sprint(v)
	}
	return n
}

// quote writes a JSON string without the HTML escapes of encoding/json: templ
// escapes what it shows.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return strconv.Quote(s)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
