package dispatch

import (
	"net/netip"
	"testing"
)

// Only public addresses are reached, whatever their notation, and what is allowed.
func TestGuard(t *testing.T) {
	t.Parallel()
	guard := Guard{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32")}}
	for text, want := range map[string]bool{
		"203.0.114.1": true, "8.8.8.8": true, "2606:4700::1111": true, "240e::1": true, "10.1.2.3": true, "fd00:1::5": true, "::ffff:8.8.8.8": true, "::ffff:10.1.2.3": true,
		"10.2.0.1": false, "127.0.0.1": false, "127.8.9.1": false, "::1": false, "0.0.0.0": false, "::": false, "0.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "198.18.0.1": false, "192.0.0.1": false, "203.0.113.1": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "fc00::1": false, "fd00:2::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:192.168.0.1": false, "::7f00:1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false, "2001::1": false,
	} {
		if err := guard.Check(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v, want allowed %t", text, err, want)
		}
	}
	for _, p := range Loopback {
		if err := (Guard{Allow: Loopback}).Check(p.Addr()); err != nil {
			t.Error(err)
		}
	}
}
