package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"twinboard/hubclient/iothub"
)

// The encoder writes what encoding/json would, members sorted, but in one pass
// and without escaping <, > and &: this is what each write of a twin costs, and
// a person reads the file.

func encodeDocument(d iothub.Document) string { return string(appendObject(nil, d)) }

func appendObject(out []byte, m map[string]any) []byte {
	out = append(out, '{')
	for i, k := range sortedKeys(m) {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendText(out, k)
		out = append(out, ':')
		out = appendValue(out, m[k])
	}
	return append(out, '}')
}

func appendValue(out []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendText(out, v)
	case json.Number:
		return append(out, v...)
	case bool:
		return strconv.AppendBool(out, v)
	case map[string]any:
		return appendObject(out, v)
	case []any:
		out = append(out, '[')
		for i, e := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendValue(out, e)
		}
		return append(out, ']')
	case nil:
		return append(out, "null"...)
	}
	// A Document holds nothing else; if it does, that is a mistake in ours.
	panic(fmt.Sprintf("store: a document holds a %T", v))
}

const hex = "0123456789abcdef"

func appendText(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r < 0x20:
			out = append(out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}

func encodeMetadata(m *iothub.Metadata) string { return string(appendMetadata(nil, m)) }

func appendMetadata(out []byte, m *iothub.Metadata) []byte {
	at, _ := m.LastUpdated.MarshalJSON() // never fails
	out = append(out, `{"$lastUpdated":`...)
	out = append(out, at...)
	if m.LastUpdatedVersion > 0 {
		out = append(out, `,"$lastUpdatedVersion":`...)
		out = strconv.AppendInt(out, m.LastUpdatedVersion, 10)
	}
	for _, k := range sortedKeys(m.Children) {
		out = append(out, ',')
		out = appendText(out, k)
		out = append(out, ':')
		out = appendMetadata(out, m.Children[k])
	}
	return append(out, '}')
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
