// Command twinboard shows and changes device twins in a browser, and brings its
// own IoT Hub. This package wires the parts together and reads the command
// line; it holds no logic of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"twinboard/views/text"
)

// version is set when the program is built for a release.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is restored: a second Ctrl-C kills.
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "twinboard:", err)
		os.Exit(1)
	}
}

// run is the whole program: stdout carries the answer only (the ready line, a
// connection string), everything else goes to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("twinboard"),
		kong.Description("See and change device twins in a browser, with an IoT Hub of its own."),
		kong.UsageOnError(),
		kong.Writers(stderr, stderr),
		kong.Vars{"data": defaultData()},
	)
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return err
	}
	log, err := newLogger(stderr, c.logFlags)
	if err != nil {
		return err
	}
	warnUnknownVariables(log, os.Environ())
	e := &environment{ctx: ctx, stdout: stdout, log: log}
	err = parsed.Run(e)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // stopped by a signal before it was ready
	}
	return explain(text.With(ctx, language(os.Getenv)), err)
}
