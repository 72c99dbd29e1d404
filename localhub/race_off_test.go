//go:build !race

package localhub

// raceFactor is how many times more memory the race detector takes.
const raceFactor = 1
