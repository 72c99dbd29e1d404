package store

import (
	"encoding/json"
	"errors"
	"strings"
)

// errMalformed means that a document is no JSON.
var errMalformed = errors.New("malformed JSON")

// valueAt returns the text of the value at a path of a JSON text, "" when there
// is none. It looks no further than it must and copies nothing; SQLite's own
// functions parse a document from end to end before they look into it. Of what
// is no JSON it may find something.
func valueAt(text string, path []string) (string, error) {
	if len(path) == 0 {
		return text, nil
	}
	s := scanner{text: text}
	for _, key := range path {
		if !s.enter(key) {
			return "", s.err
		}
	}
	s.next()
	from := s.at
	s.skip()
	return text[from:s.at], s.err
}

// scanner is a place in a JSON text.
type scanner struct {
	text string
	at   int
	err  error
}

// enter moves from a value to its member of some name, if it has one.
func (s *scanner) enter(key string) bool {
	if s.next() != '{' {
		return false
	}
	s.at++
	for s.next() == '"' {
		name := s.name()
		if s.next() != ':' {
			break
		}
		s.at++
		if name == key {
			return true
		}
		s.skip()
		if s.next() == ',' {
			s.at++
		}
	}
	if s.next() != '}' {
		s.err = errMalformed
	}
	return false
}

// name reads the name of a member.
func (s *scanner) name() (name string) {
	from := s.at
	s.quoted()
	quoted := s.text[from:s.at]
	if strings.IndexByte(quoted, '\\') < 0 {
		return strings.Trim(quoted, `"`)
	}
	if err := json.Unmarshal([]byte(quoted), &name); err != nil {
		s.err = errMalformed
	}
	return name
}

// next moves over white space and returns what comes then, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// skip moves from a value to behind it.
func (s *scanner) skip() {
	switch s.next() {
	case '"':
		s.quoted()
	case '{', '[':
		s.nested()
	default:
		for s.at < len(s.text) && strings.IndexByte(",]} \t\r\n", s.text[s.at]) < 0 {
			s.at++
		}
	}
}

// nested moves behind an object or array.
func (s *scanner) nested() {
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
	s.err = errMalformed
}

// quoted moves behind a text in quotation marks.
func (s *scanner) quoted() {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at, s.err = len(s.text), errMalformed
}
