package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Env is the machine.
type Env struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel"`
	Filesystem string `json:"filesystem"`
	Go         string `json:"go"`
	Version    string `json:"version"` // of the program
}

func environment(dir, version string) Env {
	return Env{
		CPU: cpuName(), CPUs: runtime.NumCPU(), Kernel: firstLine("/proc/sys/kernel/osrelease"), Filesystem: filesystem(dir),
		Go: runtime.Version(), Version: version,
	}
}

func firstLine(path string) string {
	data, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(data), "\n")
	return line
}

func cpuName() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// filesystem is the type of the mount that holds a folder.
func filesystem(dir string) string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	best, kind := "", "unknown filesystem"
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 2 && len(f[1]) >= len(best) && (f[1] == "/" || dir == f[1] || strings.HasPrefix(dir, f[1]+"/")) {
			best, kind = f[1], f[2]
		}
	}
	return kind
}

// tick is the unit of /proc's CPU times.
const tick = 10 * time.Millisecond

// clock is CPU time that was used so far.
type clock struct {
	at    time.Time
	busy  time.Duration // by everybody
	steal time.Duration // by other machines
	own   time.Duration // by the load generator
	child time.Duration // by the server
}

func readClock(pid int) clock {
	c := clock{at: time.Now()}
	f := strings.Fields(firstLine("/proc/stat")) // cpu user nice system idle iowait irq softirq steal
	if len(f) > 8 {
		for _, i := range []int{1, 2, 3, 6, 7} {
			c.busy += ticks(f[i])
		}
		c.steal = ticks(f[8])
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		c.own = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if pid != 0 {
		stat := firstLine(fmt.Sprintf("/proc/%d/stat", pid))
		if i := strings.LastIndexByte(stat, ')'); i >= 0 {
			if f := strings.Fields(stat[i+1:]); len(f) > 12 {
				c.child = ticks(f[11]) + ticks(f[12])
			}
		}
	}
	return c
}

func ticks(text string) time.Duration {
	n, _ := strconv.ParseInt(text, 10, 64)
	return time.Duration(n) * tick
}

// Shares of the machine that make a measurement noisy.
const (
	maxSteal  = 0.03
	maxOthers = 0.10
)

// noisy compares two readings. A database server beside uses the machine, too: then only
// what was taken away counts.
func (b *Bench) noisy(before, after clock) bool {
	if b.Database != "" {
		before.busy, after.busy = 0, 0
	}
	return noisy(before, after)
}

// noisy compares two readings: others used the machine, or it was taken away.
func noisy(before, after clock) bool {
	all := float64(after.at.Sub(before.at)) * float64(runtime.NumCPU())
	others := after.busy - before.busy - (after.own - before.own) - (after.child - before.child)
	return float64(after.steal-before.steal) > maxSteal*all || float64(others) > maxOthers*all
}

// peakRSS is the most memory that a process has had, in megabytes.
func peakRSS(pid int) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kb, _ := strconv.ParseFloat(f[0], 64)
	return kb / 1024
}

// probeSync measures an append of 600 bytes with fdatasync, in a folder.
func probeSync(dir string, n int) (Stage, error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return Stage{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	data := bytes.Repeat([]byte{'x'}, 600)
	took := make([]time.Duration, n)
	before := readClock(0)
	for i := range took {
		started := time.Now()
		if _, err := f.Write(data); err != nil {
			return Stage{}, err
		}
		if err := fdatasync(f); err != nil {
			return Stage{}, err
		}
		took[i] = time.Since(started)
	}
	after := readClock(0)
	s := Stage{Name: "fdatasync", Conns: 1, Rate: float64(n) / after.at.Sub(before.at).Seconds(), Noisy: noisy(before, after)}
	s.P50, s.P99 = percentiles(took)
	return s, nil
}

// percentiles returns p50 and p99 in milliseconds.
func percentiles(took []time.Duration) (p50, p99 float64) {
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	at := func(share float64) float64 {
		return float64(took[min(len(took)-1, int(share*float64(len(took))))]) / float64(time.Millisecond)
	}
	return at(0.50), at(0.99)
}
