package iothub

import (
	"encoding/json"
	"errors"
)

// ErrMalformed means that a text is no JSON.
var ErrMalformed = errors.New("malformed JSON")

// Lookup returns the JSON text of the value at a path of a JSON text in which no
// object names a member twice, empty when there is none. It looks no further than it
// must and copies nothing: to decode a hundred thousand twins for one value each
// would take seconds. Of a text that is no JSON it may find something; ErrMalformed
// says that the text ended too early.
func Lookup[T ~string | ~[]byte](text T, path Path) (T, error) {
	s := scanner[T]{text: text}
	for _, key := range path {
		if !s.enter(key) {
			return text[:0], s.err
		}
	}
	s.next()
	from := s.at
	s.skip()
	return text[from:s.at], s.err
}

// scanner is a place in a JSON text.
type scanner[T ~string | ~[]byte] struct {
	text T
	at   int
	err  error
}

// enter moves from a value to its member of some name, if it has one.
func (s *scanner[T]) enter(key string) bool {
	if s.next() != '{' {
		return false
	}
	s.at++
	for s.next() == '"' {
		found := s.named(key)
		if s.next() != ':' {
			break
		}
		s.at++
		if found {
			return true
		}
		s.skip()
		if s.next() == ',' {
			s.at++
		}
	}
	if s.next() != '}' {
		s.err = ErrMalformed
	}
	return false
}

// named moves behind the name of a member and reports whether it is a certain one.
func (s *scanner[T]) named(key string) bool {
	from := s.at
	escaped := s.quoted()
	if s.err != nil {
		return false
	}
	if !escaped {
		return string(s.text[from+1:s.at-1]) == key
	}
	var name string
	if err := json.Unmarshal([]byte(s.text[from:s.at]), &name); err != nil {
		s.err = ErrMalformed
	}
	return name == key
}

// next moves over white space and returns what comes then, 0 at the end.
func (s *scanner[T]) next() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; !isSpace(c) {
			return c
		}
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// skip moves from a value to behind it.
func (s *scanner[T]) skip() {
	switch s.next() {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	default:
		for s.at < len(s.text) && !endsScalar(s.text[s.at]) {
			s.at++
		}
	}
}

func endsScalar(c byte) bool { return c == ',' || c == '}' || c == ']' || isSpace(c) }

// nested moves behind an object or array.
func (s *scanner[T]) nested() {
	for depth := 0; s.at < len(s.text); {
		switch s.text[s.at] {
		case '"':
			s.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if s.at++; depth == 0 {
			return
		}
	}
	s.err = ErrMalformed
}

// quoted moves behind a text in quotation marks and reports whether something in it
// is escaped.
func (s *scanner[T]) quoted() (escaped bool) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			escaped = true
			s.at++
		case '"':
			s.at++
			return escaped
		}
	}
	s.at, s.err = len(s.text), ErrMalformed
	return escaped
}
