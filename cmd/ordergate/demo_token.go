package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ordergate/ordergate/contract"
)

// demoNote is the file in which a demo that runs leaves its admin token to other commands
// of the same user, so that they need none. Its own is in a temporary folder.
func demoNote(address string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "ordergate", "demo-"+strings.ReplaceAll(address, ":", "-")+tokenSuffix), nil
}

// leaveToken leaves the token of a demo on an address, and returns what takes it away.
func leaveToken(address net.Addr, token contract.Secret) (takeAway func(), err error) {
	path, err := demoNote(address.String())
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	_ = os.Remove(path) // of one that was killed
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "%d %s\n", os.Getpid(), string(token))
	if closing := f.Close(); err == nil {
		err = closing
	}
	return func() { _ = os.Remove(path) }, err
}

// demoToken is the token of a demo that runs on the management address; empty: none does.
func demoToken(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return ""
	}
	path, err := demoNote(u.Host)
	if err != nil {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var pid int
	var token string
	if _, err := fmt.Sscan(string(text), &pid, &token); err != nil || syscall.Kill(pid, 0) != nil { // it is gone
		_ = os.Remove(path)
		return ""
	}
	return token
}
