package iothub

import "encoding/json"

// reader reads JSON into what a Document holds, in one pass over it and without
// memory of its own: encoding/json takes three times as long. It takes what is
// right and simple; anything else is for encoding/json to read or to refuse.
type reader struct {
	data []byte // which is UTF-8
	at   int
}

// readDepth is how deep a value may be for reader.
const readDepth = 100

// readValue reads a text that is one value; ok is false for what encoding/json
// has to look at.
func readValue(data []byte) (v any, ok bool) {
	r := reader{data: data}
	v, ok = r.value(readDepth)
	r.next()
	return v, ok && r.at == len(data)
}

// next skips white space and returns the byte behind it, which it leaves; 0 is
// the end.
func (r *reader) next() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and the byte behind it if that is c.
func (r *reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) value(depth int) (any, bool) {
	if depth == 0 {
		return nil, false
	}
	switch r.next() {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.text()
	case 't':
		return true, r.word("true")
	case 'f':
		return false, r.word("false")
	case 'n':
		return nil, r.word("null")
	}
	return r.number()
}

func (r *reader) object(depth int) (map[string]any, bool) {
	m := map[string]any{}
	r.at++
	if r.take('}') {
		return m, true
	}
	for r.next() == '"' {
		name, ok := r.text()
		if !ok || !r.take(':') {
			break
		}
		if m[name], ok = r.value(depth - 1); !ok {
			break
		}
		if r.take('}') {
			return m, true
		}
		if !r.take(',') {
			break
		}
	}
	return nil, false
}

func (r *reader) array(depth int) ([]any, bool) {
	items := []any{}
	r.at++
	if r.take(']') {
		return items, true
	}
	for {
		item, ok := r.value(depth - 1)
		if !ok {
			return nil, false
		}
		items = append(items, item)
		if r.take(']') {
			return items, true
		}
		if !r.take(',') {
			return nil, false
		}
	}
}

// text reads a string. What is escaped in one is rare.
func (r *reader) text() (s string, ok bool) {
	begin, escaped := r.at, false
	for r.at++; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; {
		case c == '\\':
			escaped = true
			r.at++
		case c == '"':
			r.at++
			if escaped {
				err := json.Unmarshal(r.data[begin:r.at], &s)
				return s, err == nil
			}
			return string(r.data[begin+1 : r.at-1]), true
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

func (r *reader) word(w string) bool {
	if len(r.data)-r.at < len(w) || string(r.data[r.at:r.at+len(w)]) != w {
		return false
	}
	r.at += len(w)
	return true
}

// number reads what consists of the characters of numbers.
func (r *reader) number() (n json.Number, ok bool) {
	begin := r.at
	for r.at < len(r.data) && numeric(r.data[r.at]) {
		r.at++
	}
	n = json.Number(r.data[begin:r.at])
	return n, digits(n) || json.Valid(r.data[begin:r.at])
}

func numeric(c byte) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '.' || c == 'e' || c == 'E' || c == '+'
}
