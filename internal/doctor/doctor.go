// Package doctor looks whether a machine is fit to run a gateway: its clock, its disk, who
// may read what, the database and the destinations. It changes nothing.
package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ordergate/ordergate/internal/dispatch"
	"github.com/ordergate/ordergate/internal/order"
	"github.com/ordergate/ordergate/internal/store"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it runs, and will not always
	Fail Level = "fail" // it does not run, or loses what it must keep
)

// Finding is what was found.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Fix   string `json:"fix,omitempty"` // what to do
}

// Doctor looks at one gateway's surroundings. Fields without a comment are required.
type Doctor struct {
	Database  string   // URL
	File      string   // of the database; empty: PostgreSQL
	Secrets   []string // files that only their owner may read; those that are not there are no matter
	KeyError  error    // why what was found as the key is none
	Key       string   // fingerprint of the key that was found; empty: none
	Addresses []string // that the gateway listens on
	Guard     dispatch.Guard
	Against   string // a server whose clock this one's is compared with; empty: none
	Clock     func() time.Time

	inspected *store.Inspection
}

// Check is one look.
type Check struct {
	Name string
	Text string // what is looked at
	run  func(*Doctor, context.Context) []Finding
}

// Checks are all of them, in their order.
var Checks = []Check{
	{"clock", "whether somebody keeps the clock right, and how far it is from that of --against and of PostgreSQL: platforms refuse calls that are 10 minutes off", (*Doctor).clock},
	{"permissions", "whether others may read keys, tokens or the ledger, and whether this user may write", (*Doctor).permissions},
	{"disk", "how long a sync takes, as every call waits for one; and the room that is left", (*Doctor).disk},
	{"limits", "how many connections this user may have open", (*Doctor).limits},
	{"database", "schema, key and structure of the ledger; of a server its version and the settings that durability hangs on", (*Doctor).database},
	{"ports", "whether the gateway's ports are free, or a gateway answers there", (*Doctor).ports},
	{"destinations", "whether each is resolved, allowed, reached, and its certificate holds. Nothing is sent", (*Doctor).destinations},
}

// Look makes all checks.
func (d *Doctor) Look(ctx context.Context) (findings []Finding) {
	for _, c := range Checks {
		for _, f := range c.run(d, ctx) {
			f.Check = c.Name
			findings = append(findings, f)
		}
	}
	return findings
}

// Worst is the worst level of findings.
func Worst(findings []Finding) Level {
	for _, level := range []Level{Fail, Warn} {
		if slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == level }) {
			return level
		}
	}
	return OK
}

func found(level Level, fix, format string, args ...any) Finding {
	return Finding{Level: level, Text: fmt.Sprintf(format, args...), Fix: fix}
}

func fine(format string, args ...any) []Finding { return []Finding{found(OK, "", format, args...)} }

// How far a clock may be off: platforms and SDKs disagree by seconds, and refuse at 10
// minutes.
const (
	clockWarn = 5 * time.Second
	clockFail = 2 * time.Minute
)

const keepTime = "run chrony, ntpd or systemd-timesyncd on this machine"

func (d *Doctor) clock(ctx context.Context) (list []Finding) {
	switch kept, known := clockKept(); {
	case !known:
		list = append(list, found(OK, "", "whether somebody keeps it is not known on this system"))
	case !kept:
		list = append(list, found(Warn, keepTime+", or see that its host does", "nobody keeps it right, says the kernel"))
	default:
		list = append(list, found(OK, "", "it is kept right, says the kernel"))
	}
	if d.Against == "" {
		return list
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, d.Against, http.NoBody)
	if err != nil {
		return append(list, found(Fail, "give --against as https://HOST", "%v", err))
	}
	client := &http.Client{Timeout: reachTimeout}
	asked := d.Clock()
	response, err := client.Do(r)
	if err != nil {
		return append(list, found(Warn, "", "not compared: %v", err))
	}
	response.Body.Close()
	there, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return append(list, found(Warn, "", "not compared: %s does not say its time", d.Against))
	}
	took := d.Clock().Sub(asked)
	// A date has whole seconds: on the average half of one is lost.
	return append(list, compared(d.Against, asked.Add(took/2).Sub(there.Add(time.Second/2)), time.Second))
}

// compared is what a difference of clocks means.
func compared(with string, off, precision time.Duration) Finding {
	text := fmt.Sprintf("%s from that of %s", off.Abs().Round(precision), with)
	switch {
	case off.Abs() > clockFail:
		return found(Fail, keepTime+": at 10 minutes calls are refused", "%s", text)
	case off.Abs() > clockWarn:
		return found(Warn, keepTime, "%s", text)
	}
	return found(OK, "", "%s", text)
}

// inspect looks at the database once.
func (d *Doctor) inspect(ctx context.Context) (*store.Inspection, error) {
	if d.inspected != nil {
		return d.inspected, nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	i, err := store.Inspect(ctx, d.Database)
	d.inspected = i
	return i, err
}

// inspectTimeout is how long the look at a database may take; a large one is not read
// whole.
const inspectTimeout = 20 * time.Second

// enabled are the destinations that something is sent to.
func enabled(i *store.Inspection) []*order.Destination {
	return slices.DeleteFunc(slices.Clone(i.Destinations), func(d *order.Destination) bool { return d.Disabled })
}
