package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	"twinboard/hubclient"
	"twinboard/hubclient/iothub"
	"twinboard/localhub"
	"twinboard/views/text"
)

// mistake is something wrong with the command line, said by a message of the
// catalogues.
type mistake struct {
	id   string
	args []any
	err  error // the cause, or nil
}

func (m *mistake) Error() string { return m.say(context.Background()) }

func (m *mistake) Unwrap() error { return m.err }

func (m *mistake) say(ctx context.Context) string { return text.T(ctx, m.id, m.args...) }

// said is an error in the person's language.
type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }

func (s *said) Unwrap() error { return s.err }

// language of the messages on a terminal: English, or Spanish where the
// environment asks for it.
func language(getenv func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := getenv(name); value != "" {
			lang, _, _ := strings.Cut(value, "_")
			return lang
		}
	}
	return ""
}

// explain says in one line what went wrong, why, and what to do.
func explain(ctx context.Context, err error) error {
	var (
		ours        *mistake
		data        *localhub.DataError
		listen      *localhub.ListenError
		policy      *localhub.PolicyError
		refusal     *localhub.CreatePolicyError
		connection  *iothub.ConnectionStringError
		unreachable *hubclient.ConnectionError
	)
	switch {
	case errors.As(err, &ours):
		return &said{ours.say(ctx), err}
	case errors.As(err, &data):
		return &said{text.T(ctx, "cli.data."+string(data.Kind), "Path", data.Path) + because(data.Err), err}
	case errors.As(err, &listen):
		return &said{text.T(ctx, listenMessage(listen), "Address", listen.Address, "Option", listen.Option) + because(listen.Err), err}
	case errors.As(err, &policy):
		return &said{text.T(ctx, "cli.policy", "Name", policy.Name, "Known", strings.Join(policy.Known, ", ")), err}
	case errors.As(err, &refusal):
		return &said{text.T(ctx, "cli.policy."+string(refusal.Problem), "Name", refusal.Name, "Rights", refusal.Rights,
			"Max", iothub.MaxPolicies, "MaxServices", iothub.MaxServicePolicies, "MaxName", iothub.MaxPolicyName), err}
	case errors.As(err, &connection):
		return &said{text.T(ctx, "cli.connection."+connection.Problem, "Field", connection.Field), err}
	case errors.As(err, &unreachable):
		return &said{text.T(ctx, "cli.unreachable", "Host", unreachable.Host) + because(unreachable.Err), err}
	}
	return err
}

// because is the cause, for those who know what it means.
func because(err error) string {
	if err == nil {
		return ""
	}
	return " (" + strings.ReplaceAll(err.Error(), "\n", "; ") + ")"
}

func listenMessage(e *localhub.ListenError) string {
	// What Windows calls EADDRINUSE.
	const windowsInUse = syscall.Errno(10048)
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE), errors.Is(e.Err, windowsInUse):
		return "cli.listen.taken"
	case errors.Is(e.Err, os.ErrPermission):
		return "cli.listen.denied"
	}
	return "cli.listen.failed"
}
