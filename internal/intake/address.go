package intake

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// CallerAddress is where a request comes from: the peer, or behind trusted
// proxies the last address of X-Forwarded-For that is not one of them.
func CallerAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := peer.Addr().Unmap()
	if len(proxies) == 0 {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(address) }) {
			return address
		}
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			return address
		}
		address = next
	}
	return address
}

// parseHop reads an address, behind which some proxies write a port.
func parseHop(text string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap(), true
	}
	address, err := netip.ParseAddr(text)
	return address.Unmap(), err == nil
}
