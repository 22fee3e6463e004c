package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// Bare answers event.produce on a listener without storing anything, until ctx
// ends: requests are read and verified as the gateway does it, and the answer is
// the same. Its rate is the limit "A".
func Bare(ctx context.Context, l net.Listener) error {
	var top wire.TOP
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, err := top.Open(w, r)
		if err == nil && !top.Verify(call, appSecret) {
			err = contract.BadSign
		}
		format, _ := call.Format()
		id := wire.NewRequestID()
		answer := top.Reply(format, contract.EventProduce, &contract.EventProduceReply{Success: true}, id)
		if err != nil {
			answer = top.Refuse(format, top.Word(nil, err, id))
		}
		_ = top.Write(w, r, answer)
	})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// BareCommand is the argument with which the program is Bare.
const BareCommand = "bare"

// process is a server under load.
type process struct {
	cmd      *exec.Cmd
	protocol string // address
	admin    string // address; empty: it has none
	log      *os.File
}

// adminToken is that of the gateways under load.
const adminToken = "bench"

// startGateway starts the program on a database in a folder, with destinations.
func (b *Bench) startGateway(dir string, destinations ...string) (*process, error) {
	database, err := b.databaseOf(dir)
	if err != nil {
		return nil, err
	}
	return b.serve(dir, database, destinations...)
}

// serve starts the program in a folder, on a database, with destinations.
func (b *Bench) serve(dir, database string, destinations ...string) (*process, error) {
	file := filepath.Join(dir, "state.json")
	declared, err := withDestinations(destinations)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(declared), 0o600); err != nil {
		return nil, err
	}
	env := []string{"ORDERGATE_ADMIN_TOKEN=" + adminToken}
	if b.Database != "" {
		env = append(env, "ORDERGATE_KEY="+sharedKey)
	}
	return b.start(dir, env, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--database", database, "--apply", file, "--log-level", "warn", "--allow-private", "127.0.0.0/8")
}

const databaseFile = "bench.db"

func (b *Bench) startBare(dir string) (*process, error) {
	return b.start(dir, nil, "bench", BareCommand)
}

// start runs the program until it says where it listens: in words that end with
// an address behind "protocols" and "management".
func (b *Bench) start(dir string, env []string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(b.ctx, b.Program, args...)
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), env...), dir, log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p := &process{cmd: cmd, log: log}
	late := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		address, _, _ := strings.Cut(strings.TrimPrefix(f[1], "http://"), "/")
		switch f[0] {
		case "protocols":
			p.protocol = address
		case "management":
			p.admin = address
		case "database": // the last line
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, nil
		}
	}
	text, _ := os.ReadFile(log.Name())
	return nil, errors.Join(fmt.Errorf("%s did not start: %v\n%s", strings.Join(args, " "), cmd.Wait(), text), log.Close())
}

// startTimeout is how long a server may take to say that it is ready.
const startTimeout = time.Minute

// stopTimeout is how long a server may take to stop.
const stopTimeout = 2 * time.Minute

// stop ends the server as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	late := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	return errors.Join(p.cmd.Wait(), p.log.Close())
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	_ = p.log.Close()
}
