package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/ordergate/ordergate/internal/order"
)

// How long a destination may take to be reached, and how long before its end a
// certificate is spoken of.
const (
	reachTimeout = 5 * time.Second
	certificate  = 14 * 24 * time.Hour
)

// anyCertificate is for asking the machine itself who is there.
var anyCertificate = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // nothing is sent to it

func (d *Doctor) destinations(ctx context.Context) []Finding {
	i, err := d.inspect(ctx)
	if err != nil {
		return []Finding{found(Warn, "", "not looked at: the database could not be read")}
	}
	list := enabled(i)
	if len(list) == 0 {
		return fine("there are none")
	}
	results := make([][]Finding, len(list))
	var reaching sync.WaitGroup
	for n, destination := range list {
		reaching.Go(func() {
			for _, address := range order.Servers(destination.URL) {
				results[n] = append(results[n], d.reach(ctx, destination.Name, address))
			}
		})
	}
	reaching.Wait()
	var findings []Finding
	for _, result := range results {
		findings = append(findings, result...)
	}
	return findings
}

// defaultPorts are those of schemes.
var defaultPorts = map[string]string{"http": "80", "https": "443", "nats": "4222", "tls": "4222"}

// reach connects to an address, and sends nothing.
func (d *Doctor) reach(ctx context.Context, name, address string) Finding {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return found(Fail, "declare its url anew", "%s: no address", name)
	}
	at := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), defaultPorts[u.Scheme]))
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return found(Fail, "see the name, and this machine's DNS", "%s: %v", name, err)
	}
	for _, ip := range addresses {
		if err := d.Guard.Check(ip); err != nil {
			return found(Fail, "serve --allow-private "+netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()).String()+", or a network that has it", "%s: %v", name, err)
		}
	}
	started := d.Clock()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", at)
	if err != nil {
		return found(Fail, "see that it runs, and that no firewall is between", "%s: %v", name, err)
	}
	defer conn.Close()
	took := d.Clock().Sub(started).Round(10 * time.Microsecond)
	if u.Scheme != "https" {
		return found(OK, "", "%s: %s is reached in %v", name, at, took)
	}
	secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname()})
	if err := secure.HandshakeContext(ctx); errors.Is(err, context.DeadlineExceeded) {
		return found(Fail, "see that it runs", "%s: %s takes connections, and says nothing for %v", name, at, reachTimeout)
	} else if err != nil {
		return found(Fail, "give it a certificate that holds; a CA of your own belongs into this machine's store", "%s: %v", name, handshakeError(err))
	}
	ends := secure.ConnectionState().PeerCertificates[0].NotAfter
	if left := ends.Sub(d.Clock()); left < certificate {
		return found(Warn, "renew it", "%s: the certificate of %s ends on %s", name, at, ends.Format(time.DateOnly))
	}
	return found(OK, "", "%s: %s is reached in %v, its certificate holds until %s", name, at, took, ends.Format(time.DateOnly))
}

// handshakeError says what is wrong with a certificate without repeating all of it.
func handshakeError(err error) error {
	if wrong, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("its certificate does not hold: %w", wrong.Err)
	}
	return err
}
