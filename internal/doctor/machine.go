package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ordergate/ordergate/internal/store"
)

func (d *Doctor) permissions(context.Context) (list []Finding) {
	for _, path := range d.Secrets {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			list = append(list, found(Fail, "let the user who runs the gateway read it", "%v", err))
		case info.Mode().Perm()&0o007 != 0:
			list = append(list, found(Fail, "chmod 600 "+path, "%s is open to everybody (%v)", path, info.Mode().Perm()))
		case info.Mode().Perm()&0o070 != 0:
			list = append(list, found(Warn, "chmod 600 "+path, "%s is open to its group (%v)", path, info.Mode().Perm()))
		default:
			list = append(list, found(OK, "", "%s is its owner's alone", path))
		}
	}
	if d.File != "" {
		if info, err := os.Stat(d.File); err == nil && info.Mode().Perm()&0o007 != 0 {
			list = append(list, found(Warn, "chmod 640 "+d.File, "%s may be read by everybody (%v): secrets in it are sealed, names and orders are not", d.File, info.Mode().Perm()))
		}
		dir := filepath.Dir(d.File)
		f, err := os.CreateTemp(dir, ".ordergate-doctor-*")
		if err != nil {
			return append(list, found(Fail, "give the folder to the user who runs the gateway: the log and the lock stand beside the database", "%s cannot be written: %v", dir, err))
		}
		if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
			list = append(list, found(Warn, "", "%v", err))
		}
	}
	if os.Geteuid() == 0 {
		list = append(list, found(Warn, "run the gateway as a user of its own; the systemd unit and the image do", "this is root"))
	}
	if list == nil {
		return fine("as they should be")
	}
	return list
}

// How many syncs are tried, and what is slow. What returns at once has not been to a disk
// that keeps it.
const (
	syncs     = 40
	slowSync  = 20 * time.Millisecond
	emptySync = 10 * time.Microsecond
	leastRoom = 1 << 30
)

func (d *Doctor) disk(context.Context) []Finding {
	if d.File == "" {
		return fine("PostgreSQL's own; see its server")
	}
	dir := filepath.Dir(d.File)
	times, err := syncTimes(dir)
	if err != nil {
		return []Finding{found(Fail, "", "a sync in %s: %v", dir, err)}
	}
	median, worst := times[len(times)/2], times[len(times)-1]
	f := found(OK, "", "a sync takes %v, at worst %v of %d", median.Round(time.Microsecond), worst.Round(time.Microsecond), len(times))
	switch {
	case median > slowSync:
		f.Level, f.Fix = Warn, "put the database on a local disk, best one with power-loss protection: a call waits for its sync, many share one"
	case median < emptySync:
		f.Level, f.Fix = Warn, "see that "+dir+" is no file system in memory, and that the disk does not lie: what was answered must outlive a power cut"
	}
	list := []Finding{f}
	size, free, err := store.Disk(d.File)
	if err != nil {
		return append(list, found(Warn, "", "room in %s: %v", dir, err))
	}
	f = found(OK, "", "%.1f GiB are free", float64(free)/(1<<30))
	if free < leastRoom || free < size {
		f.Level, f.Fix = Warn, "make room: a full disk refuses calls. serve --keep 90d deletes what is old"
	}
	return append(list, f)
}

// syncTimes tries how long a small write takes until it is on disk, shortest first.
func syncTimes(dir string) (times []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".ordergate-doctor-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, 4096)
	for range syncs {
		started := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(started))
	}
	slices.Sort(times)
	return times, nil
}

// leastFiles is how many files a gateway may have open at least: connections of callers,
// deliveries on their way, the database.
const leastFiles = 4096

func (d *Doctor) limits(context.Context) []Finding {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return []Finding{found(Warn, "", "%v", err)}
	}
	if n := uint64(limit.Max); n < leastFiles {
		return []Finding{found(Warn, "raise it: LimitNOFILE=65536 in the unit, ulimit -n 65536 in a shell", "%d files may be open: callers beyond are refused", n)}
	}
	return fine("%d files may be open", uint64(limit.Max))
}

func (d *Doctor) ports(ctx context.Context) (list []Finding) {
	for _, address := range d.Addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			_ = l.Close() // it was only tried
			list = append(list, found(OK, "", "%s is free", address))
		case errors.Is(err, syscall.EADDRINUSE) && isGateway(ctx, address):
			list = append(list, found(OK, "", "a gateway answers on %s", address))
		default:
			list = append(list, found(Fail, "stop who has it, or choose another address by --listen or --admin", "%v", err))
		}
	}
	return list
}

// isGateway reports whether what listens on an address answers as a gateway does.
func isGateway(ctx context.Context, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	for _, scheme := range []string{"http", "https"} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://%s/healthz", scheme, net.JoinHostPort(host, port)), http.NoBody)
		if err != nil {
			return false
		}
		response, err := (&http.Client{Timeout: reachTimeout, Transport: &http.Transport{TLSClientConfig: anyCertificate, DisableKeepAlives: true}}).Do(r)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, 16))
		response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK && strings.TrimSpace(string(body)) == "ok" {
			return true
		}
	}
	return false
}
