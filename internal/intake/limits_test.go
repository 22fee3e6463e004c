package intake

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

func TestDailyLimit(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.now = time.Date(2024, 6, 18, 15, 22, 18, 0, time.UTC) // 23:22:18 in GMT+8
	call := func(tid string) answer {
		r := newRequest().set("tid", tid).set("timestamp", g.now.Add(8*time.Hour).Format("2006-01-02 15:04:05"))
		r.app.Rate = &apply.Rate{PerDay: 2}
		return g.send(t, r)
	}
	if a, b := call("1"), call(" "); !a.Success || b.Code != "40" { // a refusal behind flow control counts too
		t.Fatalf("%v, %v", a, b)
	}
	for range 2 {
		got := call("2")
		if want := "This ban will last for 2262 more seconds"; got.Code != "7" || got.SubText != want {
			t.Errorf("third call: %v, want 7 and %q", got, want)
		}
	}
	g.now = g.now.Add(2261 * time.Second)
	if got := call("3"); got.SubText != "This ban will last for 1 more seconds" {
		t.Errorf("a second before midnight: %v", got)
	}
	g.now = g.now.Add(time.Second)
	if got := call("3"); !got.Success {
		t.Errorf("after midnight: %v", got)
	}
}

func TestLimitPerSecond(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	call := func(tid string) answer {
		r := newRequest().set("tid", tid)
		r.app.Rate = &apply.Rate{PerSecond: 2}
		return g.send(t, r)
	}
	for i := range 2 {
		if got := call(fmt.Sprint(i)); !got.Success {
			t.Errorf("call %d: %v", i, got)
		}
	}
	if got := call("2"); got.Code != "7" || got.SubText != "This ban will last for 1 more seconds" {
		t.Errorf("third call: %v", got)
	}
	g.now = g.now.Add(time.Second)
	if got := call("2"); !got.Success {
		t.Errorf("a second later: %v", got)
	}
}

// A call whose body was slow carries an older time. It refills no bucket and
// brings no day back.
func TestLimitsDoNotRunBackwards(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2024, 6, 19, 0, 0, 5, 0, contract.Zone)
	for name, rate := range map[string]order.Rate{"per second": {PerSecond: 5}, "per day": {PerDay: 5}} {
		g := newGateway(t)
		limits, err := NewLimits(t.Context(), g.store, midnight)
		if err != nil {
			t.Fatal(err)
		}
		accepted := 0
		for i := range 100 {
			now := midnight
			if i%5 == 4 {
				now = now.Add(-6 * time.Second)
			}
			if limits.Count(&order.App{Key: "a", Rate: rate}, now) == nil {
				accepted++
			}
		}
		if accepted != 5 {
			t.Errorf("%s: %d of 100 accepted, want 5", name, accepted)
		}
	}
}

func TestDailyCountersSurviveARestart(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	app := &order.App{Key: "a", Rate: order.Rate{PerDay: 5}}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.intake.Limits.Run(ctx, g.store, slog.New(slog.DiscardHandler)) })
	for range 3 {
		if err := g.intake.Limits.Count(app, noon); err != nil {
			t.Fatal(err)
		}
	}
	stop() // stores what is pending
	running.Wait()
	again, err := NewLimits(t.Context(), g.store, noon)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := again.Count(app, noon); (err == nil) != (i < 2) {
			t.Errorf("call %d after the restart: %v", 4+i, err)
		}
	}
}

func TestCountersAreKeptWhenTheyCannotBeStored(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	log := slog.New(slog.DiscardHandler)
	if err := g.intake.Limits.Count(&order.App{Key: "a"}, noon); err != nil {
		t.Fatal(err)
	}
	g.intake.Limits.flush(t.Context(), failingStore{g.store, order.ErrNotStored}, log)
	g.intake.Limits.flush(t.Context(), g.store, log)
	usage, err := g.store.Usage(t.Context(), "2024-06-18")
	if err != nil || usage["a"] != 1 {
		t.Errorf("usage %v, %v", usage, err)
	}
}

func TestCallerAddress(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{mustPrefix("10.0.0.0/8"), mustPrefix("fd00::/8")}
	for _, c := range []struct {
		peer      string
		forwarded []string
		trusted   bool
		want      string
	}{
		{"203.0.113.9:1", nil, false, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, false, "203.0.113.9"},
		{"203.0.113.9:1", []string{"198.51.100.1"}, true, "203.0.113.9"}, // the peer is no proxy
		{"10.0.0.1:1", []string{"198.51.100.1"}, true, "198.51.100.1"},
		{"10.0.0.1:1", []string{"192.0.2.66, 198.51.100.1, 10.0.0.2"}, true, "198.51.100.1"},
		{"10.0.0.1:1", []string{"192.0.2.66", "198.51.100.1"}, true, "198.51.100.1"},
		{"10.0.0.1:1", []string{"nonsense"}, true, "10.0.0.1"},
		{"10.0.0.1:1", nil, true, "10.0.0.1"},
		{"10.0.0.1:1", []string{"198.51.100.1:4444"}, true, "198.51.100.1"},
		{"10.0.0.1:1", []string{"[2001:db8::1]:4444"}, true, "2001:db8::1"},
		{"[::ffff:203.0.113.9]:1", nil, false, "203.0.113.9"},
		{"[fd00::1]:1", []string{"2001:db8::1"}, true, "2001:db8::1"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		var trusted []netip.Prefix
		if c.trusted {
			trusted = proxies
		}
		if got := CallerAddress(r, trusted); got.String() != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestAddressList(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	for entry, ok := range map[string]bool{"127.0.0.1": true, "127.0.0.0/8": true, "::ffff:127.0.0.0/104": true, "192.0.2.1": false} {
		r := newRequest().set("tid", entry)
		r.app.IPAllow = []string{entry}
		if got := g.send(t, r); got.Success != ok {
			t.Errorf("list %s: %v", entry, got)
		}
	}
}
