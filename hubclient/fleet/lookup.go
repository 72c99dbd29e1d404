package fleet

// lookup finds the JSON text of the value at a path of valid JSON, nil when
// there is none. It skips what lies around it: decoding a hundred thousand twins
// for one value each would take seconds.
func lookup(raw []byte, path []string) []byte {
	at := skipSpace(raw, 0)
	for _, name := range path {
		if at = member(raw, at, name); at < 0 {
			return nil
		}
	}
	end := skipValue(raw, at)
	if end > len(raw) || end <= at {
		return nil
	}
	return raw[at:end]
}

// member finds where the value of a member begins, in the object that begins at
// a place; -1 when there is none.
func member(raw []byte, at int, name string) int {
	if at >= len(raw) || raw[at] != '{' {
		return -1
	}
	at = skipSpace(raw, at+1)
	for at < len(raw) && raw[at] == '"' {
		end := skipString(raw, at)
		key := raw[at:min(end, len(raw))]
		at = skipSpace(raw, end)
		at = skipSpace(raw, at+1) // the colon
		if isName(key, name) {
			return at
		}
		at = skipSpace(raw, skipValue(raw, at))
		if at < len(raw) && raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	return -1
}

// isName compares a member's name in its quotes.
func isName(key []byte, name string) bool {
	if len(key) >= 2 && string(key[1:len(key)-1]) == name {
		return true
	}
	return len(key) > len(name)+2 && unquote(key) == name
}

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && (raw[at] == ' ' || raw[at] == '\n' || raw[at] == '\t' || raw[at] == '\r') {
		at++
	}
	return at
}

// skipString returns the place behind the text that begins at a place.
func skipString(raw []byte, at int) int {
	for at++; at < len(raw); at++ {
		switch raw[at] {
		case '\\':
			at++
		case '"':
			return at + 1
		}
	}
	return at
}

// skipValue returns the place behind the value that begins at a place.
func skipValue(raw []byte, at int) int {
	for depth := 0; at < len(raw); {
		switch c := raw[at]; c {
		case '"':
			at = skipString(raw, at)
		case '{', '[':
			depth++
			at++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return at // the end of what is around a number
			}
			at++
		case ',', ' ', '\n', '\t', '\r', ':':
			if depth == 0 {
				return at
			}
			at++
			continue
		default:
			at++
			if depth == 0 && at < len(raw) && !endsScalar(raw[at]) {
				continue
			}
		}
		if depth == 0 {
			return at
		}
	}
	return at
}

func endsScalar(c byte) bool {
	switch c {
	case ',', '}', ']', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}
