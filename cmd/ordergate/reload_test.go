package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// writeCertificate writes a certificate with a serial number, and its key.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serialAt is the serial number of the certificate that a gateway shows.
func serialAt(t *testing.T, p *process) int64 {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose it is is what is asked
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// A certificate that was renewed is shown after SIGHUP, to new connections; one that
// cannot be used leaves the old one in place.
func TestRenewedCertificateIsTakenUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, 1)
	p := startServe(t, "--database", "sqlite:"+filepath.Join(dir, "x.db"), "--tls-cert", filepath.Join(dir, "tls.crt"), "--tls-key", filepath.Join(dir, "tls.key"))
	if got := serialAt(t, p); got != 1 {
		t.Fatalf("the first certificate is %d", got)
	}
	for _, c := range []struct {
		says string
		want int64
		make func()
	}{
		{"msg=reloaded", 2, func() { writeCertificate(t, dir, 2) }},
		{"not reloaded: all stays as it was", 2, func() {
			if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("none"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		c.make()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		said := ""
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(said, c.says) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			text, err := os.ReadFile(p.log.Name())
			if err != nil {
				t.Fatal(err)
			}
			said = string(text)
		}
		if got := serialAt(t, p); got != c.want || !strings.Contains(said, c.says) {
			t.Errorf("certificate %d, want %d; the log: %s", got, c.want, said)
		}
	}
}
