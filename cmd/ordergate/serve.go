package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/secret"
	"github.com/ordergate/ordergate/internal/store"
)

// gcPercent makes the collector run seldom: what lives is small, and what calls
// leave behind is much. Collecting at Go's default costs a fifth of the rate.
const gcPercent = 400

// memoryLimit makes it run more often once that much is in use.
const memoryLimit = 512 << 20

// serveCmd is the settings of a gateway. Those that are marked live can be changed in the
// configuration file while it runs.
type serveCmd struct {
	configured
	Check bool `help:"Check flags, configuration and declared state, and start nothing."`

	Listen         string          `default:"127.0.0.1:8787" placeholder:"ADDRESS" help:"Address of the protocol port (default ${default})."`
	Admin          string          `default:"127.0.0.1:8788" placeholder:"ADDRESS" help:"Address of the admin port: console, management API and metrics (default ${default})."`
	Database       string          `placeholder:"URL" help:"sqlite:FILE (default sqlite:${database}; with --demo a temporary one), or postgres://USER:PASSWORD@HOST/DATABASE, which any number of processes may share."`
	Demo           bool            `help:"Start with the demo's apps and orders, against which every example of the vendors' pages works. Loopback only."`
	Sandbox        bool            `help:"Let the management API inject faults (/v1/faults)."`
	Apply          []string        `live:"" sep:"none" placeholder:"FILE" type:"path" help:"YAML or JSON file to apply at the start; repeatable."`
	AdminToken     contract.Secret `placeholder:"TOKEN" help:"Token of the management API and of the console (default: made at the first start and kept beside the database; of PostgreSQL shown once, and its hash kept)."`
	AdminTokenFile string          `placeholder:"FILE" help:"File that holds the admin token."`
	Key            contract.Secret `placeholder:"BASE64" help:"32 bytes that seal secrets at rest (default: made at the first start and kept beside the database; with PostgreSQL it must be given, the same to every process)."`
	KeyFile        string          `placeholder:"FILE" help:"File that holds the key that seals secrets, in Base64."`
	AllowPrivate   []string        `live:"" placeholder:"NETWORK" help:"Networks that are not public and that destinations may be in, such as 10.0.0.0/8; with --demo loopback is allowed."`
	AlertStuck     time.Duration   `live:"" default:"24h" placeholder:"DURATION" help:"How long an order may wait for its next step before an event says so, ordergate.alert.order.stuck; 0: none does (default ${default})."`
	AlertRefund    time.Duration   `live:"" default:"20m" placeholder:"DURATION" help:"How long before the automatic refund of a line an event says so, ordergate.alert.refund.near; 0: none does (default ${default})."`
	Keep           string          `live:"" placeholder:"TIME" help:"How long events and what is left of their deliveries are kept, such as 90d: as far as nobody is owed them (default: for ever)."`
	QimenAge       time.Duration   `default:"10m" placeholder:"DURATION" help:"How old a reverse call to /spi/qimen may be (default ${default})."`
	TrustedProxies []string        `placeholder:"NETWORK" help:"Proxies whose X-Forwarded-For is believed for ip_allow."`
	TLSCert        string          `live:"" name:"tls-cert" placeholder:"FILE" help:"Certificate for TLS on the protocol port; to turn TLS on or off takes a restart."`
	TLSKey         string          `live:"" name:"tls-key" placeholder:"FILE" help:"Private key of that certificate."`
	Drain          time.Duration   `placeholder:"DURATION" help:"How long /readyz is red before the ports close at a stop: as long as a load balancer needs to see it."`
	Trace          string          `placeholder:"URL" help:"Where OpenTelemetry traces go, by OTLP over HTTP, such as http://127.0.0.1:4318 (default: nowhere)."`
	TraceShare     float64         `default:"1" placeholder:"0..1" help:"Which share of calls is traced that do not come with a trace (default ${default})."`
	LogLevel       slog.Level      `live:"" default:"info" placeholder:"LEVEL" help:"debug, info, warn or error (default ${default})."`
	LogFormat      string          `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text or json (default ${default})."`
}

// settings are the values of serve's flags, checked, that are not used as they are
// written.
type settings struct {
	proxies     []netip.Prefix
	allow       []netip.Prefix   // that are not public and that destinations may be in; of a demo loopback is allowed besides
	keep        time.Duration    // of events; 0: for ever
	certificate *tls.Certificate // nil: no TLS
	states      []*declared
	secretValues
}

// settings checks the flags, the files that they name, and the state that these declare.
func (cmd *serveCmd) settings(config *configResolver) (*settings, error) {
	if err := cmd.check(); err != nil {
		return nil, config.located(err)
	}
	s := &settings{}
	var err error
	if s.keep, err = parseKeep(cmd.Keep); err != nil {
		return nil, config.located(wrongFlag("keep", "%q: %v", cmd.Keep, err))
	}
	if s.proxies, err = networks("trusted-proxies", cmd.TrustedProxies); err != nil {
		return nil, config.located(err)
	}
	if s.allow, err = networks("allow-private", cmd.AllowPrivate); err != nil {
		return nil, config.located(err)
	}
	if cmd.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cmd.TLSCert, cmd.TLSKey)
		if err != nil {
			return nil, config.located(wrongFlag("tls-cert", "cannot be used, with its key: %v", err))
		}
		s.certificate = &pair
	}
	if s.secretValues, err = cmd.secrets(); err != nil {
		return nil, config.located(err)
	}
	if d, err := config.state(); err != nil {
		return nil, err
	} else if d != nil {
		s.states = append(s.states, d)
	}
	for _, file := range cmd.Apply {
		d, err := readDeclared(file)
		if err != nil {
			return nil, err
		}
		s.states = append(s.states, d)
	}
	return s, nil
}

func networks(flag string, texts []string) (list []netip.Prefix, err error) {
	for _, text := range texts {
		prefix, err := apply.ParsePrefix(text)
		if err != nil {
			return nil, wrongFlag(flag, "%q: neither an address nor a network", text)
		}
		list = append(list, prefix)
	}
	return list, nil
}

// Run serves until the context ends, then finishes what was accepted.
func (cmd *serveCmd) Run(t *terminal) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	s, err := cmd.settings(t.config)
	if err != nil {
		return err
	}
	if cmd.Check {
		return cmd.checked(t, s)
	}
	cleanUp, err := cmd.chooseDatabase()
	if err != nil {
		return err
	}
	defer cleanUp()
	hangups := make(chan os.Signal, 1)
	if !cmd.Demo || cmd.Config != "" { // a demo ends with its terminal
		signal.Notify(hangups, syscall.SIGHUP) // until it has ended: what comes at another time is not the end
		defer signal.Stop(hangups)
	}
	g, err := newGateway(t, cmd, s)
	if err != nil {
		return err
	}
	if err := g.open(t); err != nil {
		return errors.Join(err, g.stopTracing())
	}
	err = g.serve(t, hangups)
	return errors.Join(err, g.store.Close(), g.stopTracing())
}

// checked says what was found in order.
func (cmd *serveCmd) checked(t *terminal, s *settings) error {
	if c := t.config; c != nil && c.config != nil {
		fmt.Fprintf(t.out, "%s: %d settings\n", c.path, len(c.config.Settings))
	}
	for _, d := range s.states {
		n := d.document
		fmt.Fprintf(t.out, "%s: %d apps, %d sessions, %d destinations, %d orders\n", d.file, len(n.Apps), len(n.Sessions), len(n.Destinations), len(n.Orders))
	}
	_, err := fmt.Fprintln(t.out, "ok")
	return err
}

// secretValues are the secrets that flags or files give.
type secretValues struct{ token, key contract.Secret }

func (cmd *serveCmd) secrets() (s secretValues, err error) {
	if s.token, err = secretOf("admin-token", cmd.AdminToken, cmd.AdminTokenFile); err != nil {
		return s, err
	}
	if s.key, err = secretOf("key", cmd.Key, cmd.KeyFile); err != nil || s.key == "" {
		return s, err
	}
	if _, err := secret.Parse(string(s.key)); err != nil {
		return s, wrongFlag("key", "cannot be used: %v", err)
	}
	return s, nil
}

// secretOf is a secret as given, or as a file holds it.
func secretOf(flag string, given contract.Secret, file string) (contract.Secret, error) {
	switch {
	case file == "":
		return given, nil
	case given != "":
		return "", wrongFlag(flag, "is given twice: as it is, and by --%s-file", flag)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", wrongFlag(flag+"-file", "cannot be read: %v", err)
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return "", wrongFlag(flag+"-file", "names %s, which is empty", file)
	}
	return contract.Secret(text), nil
}

// parseKeep reads how long events are kept: days, as 90d, or a duration.
func parseKeep(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err == nil && n > 0 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	if keep, err := time.ParseDuration(text); err == nil && keep > 0 {
		return keep, nil
	}
	return 0, errors.New("write days, such as 90d, or a duration such as 36h")
}

// check checks the flags as far as that needs no look at files.
func (cmd *serveCmd) check() error {
	if (cmd.TLSCert == "") != (cmd.TLSKey == "") {
		return wrongFlag("tls-cert", "wants a key, and that a certificate: give both --tls-cert and --tls-key")
	}
	if err := store.Check(cmd.Database); cmd.Database != "" && err != nil {
		return wrongFlag("database", "is none: %s", strings.TrimPrefix(err.Error(), "database: "))
	}
	for flag, address := range map[string]string{"listen": cmd.Listen, "admin": cmd.Admin} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return wrongFlag(flag, "%q: want HOST:PORT", address)
		}
		if cmd.Demo && !isLoopback(address) {
			return wrongFlag(flag, "%s: --demo listens on loopback only, as its secrets are published", address)
		}
	}
	for flag, d := range map[string]time.Duration{"alert-stuck": cmd.AlertStuck, "alert-refund": cmd.AlertRefund, "drain": cmd.Drain} {
		if d < 0 {
			return wrongFlag(flag, "%s: want a duration such as 10m, or 0", d)
		}
	}
	if cmd.QimenAge <= 0 {
		return wrongFlag("qimen-age", "%s: want a duration such as 10m", cmd.QimenAge)
	}
	if to, err := url.Parse(cmd.Trace); cmd.Trace != "" && (err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https") {
		return wrongFlag("trace", "is no address: want http://HOST:PORT, where a collector takes OTLP over HTTP (mostly port 4318)")
	}
	if to, err := url.Parse(cmd.Trace); err == nil && (to.User != nil || to.RawQuery != "") {
		return wrongFlag("trace", "takes no name, password or query: what a collector wants to be sent goes into OTEL_EXPORTER_OTLP_HEADERS")
	}
	if !(cmd.TraceShare >= 0 && cmd.TraceShare <= 1) {
		return wrongFlag("trace-share", "%v: want a number from 0 to 1", cmd.TraceShare)
	}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// chooseDatabase fills in the default. The demo's temporary one goes with it.
func (cmd *serveCmd) chooseDatabase() (cleanUp func(), err error) {
	switch {
	case cmd.Database != "":
		return func() {}, nil
	case !cmd.Demo:
		cmd.Database = "sqlite:" + defaultDatabase
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "ordergate-demo-")
	if err != nil {
		return nil, err
	}
	cmd.Database = "sqlite:" + filepath.Join(dir, defaultDatabase)
	return func() { _ = os.RemoveAll(dir) }, nil
}
