package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"twinboard/hubclient/iothub"
)

// cli is the command line. Names and defaults are a contract.
type cli struct {
	logFlags

	Serve            serveCommand            `cmd:"" default:"withargs" help:"Start the dashboard, and the local hub unless --hub is given (the default command)."`
	Hub              hubCommand              `cmd:"" help:"Start the local hub alone: an IoT Hub for development and CI."`
	Simulate         simulateCommand         `cmd:"" help:"Start simulated devices alone."`
	ConnectionString connectionStringCommand `cmd:"" help:"Print a connection string of the local hub, on one line."`
	CA               caCommand               `cmd:"" name:"ca" help:"Print the path of the local hub's CA certificate."`
	Version          versionCommand          `cmd:"" help:"Print the version."`
}

type logFlags struct {
	Quiet     bool   `help:"Log errors only."`
	LogFormat string `help:"Format of the log on stderr: text or json." enum:"text,json" default:"text"`
	LogLevel  string `help:"Smallest level that is logged: debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
}

type dataFlags struct {
	Data string `help:"Folder for everything that is kept." placeholder:"DIR" default:"${data}" env:"TWINBOARD_DATA"`
}

type localHubFlags struct {
	HubHTTPS      string `name:"hub-https" help:"Address of the local hub's service API." placeholder:"ADDRESS" default:"127.0.0.1:8443" env:"TWINBOARD_HUB_HTTPS"`
	HubMQTT       string `name:"hub-mqtt" help:"Address of the local hub for devices." placeholder:"ADDRESS" default:"127.0.0.1:8883" env:"TWINBOARD_HUB_MQTT"`
	StandardPorts bool   `help:"Use ports 443 and 8883, which Microsoft's Node service SDK insists on."`
	HubName       string `help:"Another host name for the certificate and the connection strings." placeholder:"NAME" default:"localhost"`
	Throttle      string `help:"Hold the local hub to the throttles of a tier: F1, S1, S2 or S3." placeholder:"TIER" enum:"F1,S1,S2,S3," default:""`
}

// addresses of the local hub: HTTPS and MQTT.
func (f localHubFlags) addresses() (https, mqtt string) {
	if !f.StandardPorts {
		return f.HubHTTPS, f.HubMQTT
	}
	return withPort(f.HubHTTPS, "443"), withPort(f.HubMQTT, "8883")
}

func withPort(address, port string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	return net.JoinHostPort(host, port)
}

// remoteHub is a hub given by --hub.
type remoteHub struct {
	name       string
	connection iothub.ServiceConnectionString
}

// parseHub reads the value of --hub: [NAME=](HostName=…|@FILE).
func parseHub(value string) (remoteHub, error) {
	var name string
	text := value
	if !strings.HasPrefix(text, "HostName=") && !strings.HasPrefix(text, "@") {
		before, after, ok := strings.Cut(text, "=")
		if !ok || !validHubName(before) {
			return remoteHub{}, &mistake{id: "cli.hub"}
		}
		name, text = before, after
	}
	if file, ok := strings.CutPrefix(text, "@"); ok {
		content, err := os.ReadFile(file)
		if err != nil {
			return remoteHub{}, &mistake{id: "cli.hub.file", args: []any{"Path", file}, err: err}
		}
		text = strings.TrimSpace(string(content))
	}
	connection, err := iothub.ParseServiceConnectionString(text)
	if err != nil {
		return remoteHub{}, fmt.Errorf("--hub: %w", err)
	}
	host, _, _ := strings.Cut(iothub.SplitHost(connection.HostName).Host, ".")
	return remoteHub{name: cmp.Or(name, host), connection: connection}, nil
}

func validHubName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// defaultData is the platform's folder for a user's data.
func defaultData() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return "twinboard-data"
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Application Support", "twinboard")
	case "windows":
		return filepath.Join(cmp.Or(os.Getenv("LocalAppData"), home), "twinboard")
	}
	return filepath.Join(cmp.Or(os.Getenv("XDG_DATA_HOME"), filepath.Join(home, ".local", "share")), "twinboard")
}

func newLogger(w io.Writer, f logFlags) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.LogLevel)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	if f.Quiet {
		level = slog.LevelError
	}
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// variables lists the environment variables that the command line reads.
var variables = []string{"TWINBOARD_LISTEN", "TWINBOARD_DATA", "TWINBOARD_HUB", "TWINBOARD_HUB_HTTPS", "TWINBOARD_HUB_MQTT"}

// warnUnknownVariables reports a TWINBOARD_ variable that nothing reads: it is
// likely a typing mistake.
func warnUnknownVariables(log *slog.Logger, environ []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "TWINBOARD_") && !slices.Contains(variables, name) {
			log.WarnContext(context.Background(), "unknown environment variable", slog.String("name", name))
		}
	}
}

// checkLoopback refuses an address that other machines could reach: the
// dashboard has no sign-in of its own.
func checkLoopback(flag, address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return &mistake{id: "cli.address", args: []any{"Option", flag, "Address", address}}
	}
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return &mistake{id: "cli.loopback", args: []any{"Option", flag, "Address", address}}
}
