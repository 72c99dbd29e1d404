package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// stopTime is within what everything must have stopped.
const stopTime = 5 * time.Second

// environment is what every command gets.
type environment struct {
	ctx    context.Context // ends with the first signal
	stdout io.Writer
	log    *slog.Logger
}

// closers stop what was started, the last first.
type closers struct {
	named []closer
}

type closer struct {
	name  string
	close func(context.Context) error
}

func (c *closers) add(name string, f func(context.Context) error) {
	c.named = append(c.named, closer{name, f})
}

// close stops everything within stopTime and joins the errors.
func (c *closers) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var errs []error
	for _, v := range slices.Backward(c.named) {
		if err := v.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", v.name, err))
		}
	}
	c.named = nil
	return errors.Join(errs...)
}

// readyLine is printed to stdout when everything answers; fields of what was
// not started are absent.
type readyLine struct {
	Dashboard string `json:"dashboard,omitempty"`
	HTTPS     string `json:"https,omitempty"`
	MQTT      string `json:"mqtt,omitempty"`
	CA        string `json:"ca,omitempty"`
	Data      string `json:"data,omitempty"`
}

func (r readyLine) print(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("ready line: %w", err)
	}
	return nil
}
