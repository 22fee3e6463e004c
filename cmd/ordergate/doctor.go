package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/doctor"
	"github.com/ordergate/ordergate/internal/store"
)

// doctorCmd looks at what a gateway runs on. Its settings are serve's.
type doctorCmd struct {
	databaseFlags
	AdminTokenFile string `placeholder:"FILE" help:"File that holds the admin token."`
	TLSKey         string `name:"tls-key" placeholder:"FILE" help:"Private key of the protocol port."`

	Listen       string   `default:"127.0.0.1:8787" placeholder:"ADDRESS" help:"Address of the protocol port (default ${default})."`
	Admin        string   `default:"127.0.0.1:8788" placeholder:"ADDRESS" help:"Address of the admin port (default ${default})."`
	AllowPrivate []string `placeholder:"NETWORK" help:"Networks that are not public and that destinations may be in."`
	Against      string   `placeholder:"URL" help:"A server whose clock is compared with this machine's, by the Date of its answer, such as https://eco.taobao.com."`
	JSON         bool     `name:"json" help:"Print one JSON array instead of lines."`
}

// errUnfit means that something has to be done first; it has been printed.
var errUnfit = errors.New("this is not fit yet: see the lines that begin with fail")

// Run looks, and prints a line for each finding.
func (cmd *doctorCmd) Run(t *terminal) error {
	if err := cmd.chosen(); err != nil {
		return t.config.located(err)
	}
	allow, err := networks("allow-private", cmd.AllowPrivate)
	if err != nil {
		return t.config.located(err)
	}
	d := &doctor.Doctor{
		Database: cmd.Database, Addresses: []string{cmd.Listen, cmd.Admin},
		Guard: dispatch.Guard{Allow: allow}, Against: cmd.Against, Clock: time.Now,
	}
	if file, err := store.File(cmd.Database); err == nil {
		d.File = file
		d.Secrets = []string{file + keySuffix, file + tokenSuffix}
	}
	for _, path := range []string{cmd.KeyFile, cmd.AdminTokenFile, cmd.TLSKey} {
		if path != "" {
			d.Secrets = append(d.Secrets, path)
		}
	}
	key, err := cmd.knownKey()
	if d.KeyError = err; key != nil {
		d.Key = key.Fingerprint()
	}
	findings := d.Look(t)
	if cmd.JSON {
		err = json.NewEncoder(t.out).Encode(findings)
	} else {
		err = printFindings(t, findings)
	}
	if err == nil && doctor.Worst(findings) == doctor.Fail {
		err = errUnfit
	}
	return err
}

func printFindings(t *terminal, findings []doctor.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(t.out, "%-4s  %-12s  %s\n", f.Level, f.Check, f.Text); err != nil {
			return err
		}
		if f.Fix != "" {
			fmt.Fprintf(t.out, "                    %s\n", f.Fix)
		}
	}
	return nil
}
