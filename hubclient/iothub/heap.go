package iothub

import "encoding/json"

// HeapBytes estimates what a decoded document takes in memory, and rather more
// than less: an object of nothing but names takes fifty times what Size counts.
// It is never less than Size.
func (d Document) HeapBytes() int { return heapOfObject(d) }

func heapOfObject(m map[string]any) int {
	n := heapOfMap(len(m))
	for k, v := range m {
		n += heapOfText(k) + heapOf(v)
	}
	return n
}

// heapOf is what a value takes beside the two words that point to it.
func heapOf(v any) int {
	switch v := v.(type) {
	case string:
		return textHeader + heapOfText(v)
	case json.Number:
		return textHeader + heapOfText(string(v))
	case map[string]any:
		return heapOfObject(v)
	case Document:
		return heapOfObject(v)
	case []any:
		n := listHeader + listElement*len(v)
		for _, e := range v {
			n += heapOf(e)
		}
		return n
	}
	return 0
}

// How Go lays these out on 64 bits, where memory comes in sizes of 8, 16, 24, 32,
// 48 and so on, and lists and maps have room to grow.
const (
	textHeader  = 16
	listHeader  = 24
	listElement = 2 * 16
	mapHeader   = 48
	mapGroup    = 288 // the first eight members, and more of them up to eight
	mapMember   = 80  // each one of more
)

func heapOfMap(members int) int {
	switch {
	case members == 0:
		return mapHeader
	case members <= 8:
		return mapHeader + mapGroup
	}
	return mapHeader + mapGroup + mapMember*members
}

func heapOfText(s string) int {
	if s == "" {
		return 0
	}
	return len(s) + len(s)/8 + 8
}
