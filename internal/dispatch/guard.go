package dispatch

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
)

// Guard says which addresses a destination may have. Public ones are always allowed.
type Guard struct {
	Allow    []netip.Prefix // besides
	Networks *Networks      // besides, too; nil: none
}

// Networks may change while they are used. The zero value has none.
type Networks struct {
	list atomic.Pointer[[]netip.Prefix]
}

// Set makes them those of a list.
func (n *Networks) Set(list []netip.Prefix) { n.list.Store(&list) }

// have reports whether one of them has an address.
func (n *Networks) have(ip netip.Addr) bool {
	if n == nil || n.list.Load() == nil {
		return false
	}
	return slices.ContainsFunc(*n.list.Load(), func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Loopback is what a demo and a benchmark allow besides.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// notPublic are the special-purpose networks of IANA's registries that netip does not
// name, those included that lead to IPv4 networks in disguise.
var notPublic = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10")

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// Check returns why an address may not be reached; nil when it may.
func (g Guard) Check(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	within := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(g.Allow, within) || g.Networks.have(ip) {
		return nil
	}
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || slices.ContainsFunc(notPublic, within) {
		return fmt.Errorf("%s is no public address; serve allows it by --allow-private", ip)
	}
	return nil
}

// control checks the address that a connection is about to be made to: after its name
// was resolved, so that no name can hide it.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	return g.Check(to.Addr())
}
