package iothub

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of twins (IoT Hub developer guide, device twins and quotas; the
// forbidden # was measured on the real service).
const (
	MaxTagsSize       = 8 * 1024
	MaxPropertiesSize = 32 * 1024 // desired and reported, each
	MaxKeyBytes       = 1024
	MaxStringBytes    = 4096
	MaxDepth          = 10 // objects in objects below a section's root
	MaxInteger        = 1<<52 - 1
	MinInteger        = -1 << 52
	MaxNumberLength   = 128 // characters; a choice: numbers are kept as they were written, and count 8 bytes
	MaxDeviceIDLength = 128
	MaxModules        = 50 // of one device; older pages of the documentation say 20
	MaxQueryLength    = 8192
	MaxPageSize       = 100
	MaxMethodBytes    = 128 * 1024 // of a direct method's payload, each way
	MaxTelemetryBytes = 256 * 1024

	MaxPolicies        = 16 // shared access policies of a hub
	MaxServicePolicies = 10 // of them with the right ServiceConnect
	MaxPolicyName      = 64 // characters; a choice, as is what they may be
)

// SectionName names a part of a twin in errors and limits.
type SectionName string

// The three sections.
const (
	SectionTags     SectionName = "tags"
	SectionDesired  SectionName = "properties.desired"
	SectionReported SectionName = "properties.reported"
)

// MaxSize is the largest size of the section in bytes, counted as SectionSize
// counts.
func (s SectionName) MaxSize() int {
	if s == SectionTags {
		return MaxTagsSize
	}
	return MaxPropertiesSize
}

// LimitKind says which limit a value breaks.
type LimitKind string

// The kinds of LimitError.
const (
	LimitSize         LimitKind = "size"
	LimitDepth        LimitKind = "depth"
	LimitKeyLength    LimitKind = "key-length"
	LimitKeyCharacter LimitKind = "key-character"
	LimitStringLength LimitKind = "string-length"
	LimitInteger      LimitKind = "integer"
	LimitNumberLength LimitKind = "number-length"
	LimitNullInArray  LimitKind = "null-in-array"
)

// LimitError says what part of a document a hub would refuse, and why.
type LimitError struct {
	Kind    LimitKind
	Section SectionName
	Path    Path   // where; for LimitSize the biggest branch
	Got     int    // bytes, or depth
	Max     int    // the limit in the same unit
	Text    string // the character or number at fault
}

func (e *LimitError) Error() string {
	at := string(e.Section)
	if len(e.Path) > 0 {
		at += "." + e.Path.String()
	}
	switch e.Kind {
	case LimitSize:
		return fmt.Sprintf("%s would be %d bytes, the limit is %d", e.Section, e.Got, e.Max)
	case LimitDepth:
		return fmt.Sprintf("%s is nested deeper than %d levels", at, e.Max)
	case LimitKeyLength:
		return fmt.Sprintf("%s: the name is %d bytes long, the limit is %d", at, e.Got, e.Max)
	case LimitKeyCharacter:
		return fmt.Sprintf("%s: the name contains %s, which is not allowed (control characters, '.', '$', '#' and space)", at, e.Text)
	case LimitStringLength:
		return fmt.Sprintf("%s: the text is %d bytes long, the limit is %d", at, e.Got, e.Max)
	case LimitInteger:
		return fmt.Sprintf("%s: %s is outside %d to %d", at, e.Text, MinInteger, MaxInteger)
	case LimitNumberLength:
		return fmt.Sprintf("%s: the number is %d characters long, the limit is %d", at, e.Got, e.Max)
	case LimitNullInArray:
		return fmt.Sprintf("%s: an array must not contain null", at)
	}
	return at + " is not allowed"
}

// CheckContent checks everything about a document or patch but its size: keys,
// depth, texts, numbers, nulls in arrays. Nulls elsewhere mean removal and are
// fine. The error is a *LimitError for the first offence in path order.
func CheckContent(section SectionName, d Document) error {
	if e := checkMap(nil, d, 0, false); e != nil {
		e.Section = section
		return e
	}
	return nil
}

func checkMap(at Path, m map[string]any, depth int, inArray bool) *LimitError {
	for _, k := range sortedKeys(m) {
		path := slices.Concat(at, Path{k})
		if e := CheckKey(k); e != nil {
			e.Path = path
			return e
		}
		if e := checkValue(path, m[k], depth, inArray); e != nil {
			return e
		}
	}
	return nil
}

func checkValue(at Path, v any, depth int, inArray bool) *LimitError {
	switch v := v.(type) {
	case nil:
		if inArray {
			return &LimitError{Kind: LimitNullInArray, Path: at}
		}
	case string:
		if len(v) > MaxStringBytes {
			return &LimitError{Kind: LimitStringLength, Path: at, Got: len(v), Max: MaxStringBytes}
		}
	case json.Number:
		return checkNumber(at, v)
	case map[string]any:
		if depth+1 > MaxDepth {
			return &LimitError{Kind: LimitDepth, Path: at, Got: depth + 1, Max: MaxDepth}
		}
		return checkMap(at, v, depth+1, inArray)
	case []any:
		if depth+1 > MaxDepth {
			return &LimitError{Kind: LimitDepth, Path: at, Got: depth + 1, Max: MaxDepth}
		}
		for _, e := range v {
			if err := checkValue(at, e, depth+1, true); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkNumber(at Path, n json.Number) *LimitError {
	if len(n) > MaxNumberLength {
		return &LimitError{Kind: LimitNumberLength, Path: at, Got: len(n), Max: MaxNumberLength}
	}
	if strings.ContainsAny(n.String(), ".eE") {
		return nil
	}
	i, ok := new(big.Int).SetString(n.String(), 10)
	if !ok || i.Cmp(big.NewInt(MinInteger)) < 0 || i.Cmp(big.NewInt(MaxInteger)) > 0 {
		return &LimitError{Kind: LimitInteger, Path: at, Text: n.String()}
	}
	return nil
}

// CheckKey checks one property name; nil if a hub accepts it. The empty name
// is accepted, as by the service.
func CheckKey(k string) *LimitError {
	if len(k) > MaxKeyBytes {
		return &LimitError{Kind: LimitKeyLength, Got: len(k), Max: MaxKeyBytes}
	}
	for _, r := range k {
		switch {
		case r == '.', r == '$', r == '#':
			return &LimitError{Kind: LimitKeyCharacter, Text: "'" + string(r) + "'"}
		case r == ' ':
			return &LimitError{Kind: LimitKeyCharacter, Text: "a space"}
		case isControl(r):
			return &LimitError{Kind: LimitKeyCharacter, Text: fmt.Sprintf("the control character U+%04X", r)}
		}
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || (r >= 0x7f && r <= 0x9f) }

// CheckSize refuses a merged section that is over its limit and larger than it
// was: an operation that shrinks an oversized section is allowed. The error is
// a *LimitError whose Path names the biggest branch.
func CheckSize(section SectionName, before, after Document) error {
	size := Size(after)
	if size <= section.MaxSize() || size <= Size(before) {
		return nil
	}
	e := &LimitError{Kind: LimitSize, Section: section, Got: size, Max: section.MaxSize()}
	if name, _ := BiggestBranch(after); name != "" {
		e.Path = Path{name}
	}
	return e
}

// Size counts a section the way IoT Hub's limits do: names and texts by their
// UTF-8 bytes without control characters, numbers 8, booleans 4, objects and
// arrays the sum of their parts. Counting bytes where the documentation says
// characters is our choice, and so are null as 0 and arrays as a sum: never
// more lenient than the service. An item of an array counts at least 1: an array
// would hold any number of empty objects and texts otherwise.
func Size(d Document) int { return sizeOf(map[string]any(d)) }

func sizeOf(v any) int {
	switch v := v.(type) {
	case string:
		return textSize(v)
	case json.Number:
		return 8
	case bool:
		return 4
	case map[string]any:
		n := 0
		for k, e := range v {
			n += textSize(k) + sizeOf(e)
		}
		return n
	case []any:
		n := 0
		for _, e := range v {
			n += max(1, sizeOf(e))
		}
		return n
	}
	return 0
}

func textSize(s string) int {
	n := 0
	for _, r := range s {
		if !isControl(r) {
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// BiggestBranch names the member that takes most of a section, and its size.
func BiggestBranch(d Document) (name string, size int) {
	for _, k := range sortedKeys(d) {
		if n := textSize(k) + sizeOf(d[k]); n > size {
			name, size = k, n
		}
	}
	return name, size
}

// deviceIDPunctuation is what device ids may contain beside ASCII letters and
// digits (IoT Hub developer guide, identity registry).
const deviceIDPunctuation = "-:.+%_#*?!(),=@;$'"

// DeviceIDError says what is wrong with a device or module id.
type DeviceIDError struct {
	ID        string
	Character string // the first character that is not allowed, or ""
	Module    bool   // it is a module's
}

func (e *DeviceIDError) Error() string {
	whose := "device"
	if e.Module {
		whose = "module"
	}
	switch {
	case e.ID == "":
		return fmt.Sprintf("a %s id must not be empty", whose)
	case e.Character != "":
		return fmt.Sprintf("a %s id must not contain %q; allowed are ASCII letters, digits and %s", whose, e.Character, deviceIDPunctuation)
	}
	return fmt.Sprintf("a %s id has at most %d characters", whose, MaxDeviceIDLength)
}

// CheckDeviceID checks a device id. The error is a *DeviceIDError.
func CheckDeviceID(id string) error { return checkID(id, false) }

// CheckModuleID checks a module id, which has the form of a device id. The error
// is a *DeviceIDError.
func CheckModuleID(id string) error { return checkID(id, true) }

func checkID(id string, module bool) error {
	if id == "" {
		return &DeviceIDError{Module: module}
	}
	for _, r := range id {
		if r >= utf8.RuneSelf || !isAlphanumeric(byte(r)) && !strings.ContainsRune(deviceIDPunctuation, r) {
			return &DeviceIDError{ID: id, Character: string(r), Module: module}
		}
	}
	if len(id) > MaxDeviceIDLength {
		return &DeviceIDError{ID: id, Module: module}
	}
	return nil
}

// ValidPolicyName reports whether a shared access policy can have this name:
// ASCII letters, digits and - . _, which need no escape anywhere. A choice.
func ValidPolicyName(name string) bool {
	return name != "" && len(name) <= MaxPolicyName && !strings.ContainsFunc(name, func(r rune) bool {
		return r >= utf8.RuneSelf || !isAlphanumeric(byte(r)) && !strings.ContainsRune("-._", r)
	})
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
