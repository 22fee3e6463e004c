package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

type verifyCmd struct {
	File    string          `arg:"" help:"Raw HTTP request, as call --dry-run prints it; - for standard input."`
	Secret  contract.Secret `required:"" placeholder:"SECRET" help:"The app's secret."`
	Reverse bool            `help:"It is a reverse call of Qimen's, as one to /spi/qimen always is."`
	Now     string          `placeholder:"TIME" help:"When the request was received, yyyy-MM-dd HH:mm:ss in GMT+8 (default: now; then a request that is merely old is valid, unless by the 8 hours of a clock in UTC)."`
}

// errInvalid means that the request has a mistake; it has been printed.
var errInvalid = errors.New("signature or time does not hold")

// Run says valid, or names the mistake.
func (cmd *verifyCmd) Run(t *terminal) error {
	now := time.Now()
	if cmd.Now != "" {
		var ok bool
		if now, ok = contract.ParseTime(cmd.Now); !ok {
			return misused("--now %q: want yyyy-MM-dd HH:mm:ss", cmd.Now)
		}
	}
	raw, err := readInput(cmd.File)
	if err != nil {
		return err
	}
	request, err := wire.ParseRequest(raw)
	if err != nil {
		return misused("%s is no HTTP request: %v", cmd.File, err)
	}
	found, err := wire.Explain(request, cmd.Reverse, cmd.Secret, now)
	if err != nil {
		return misused("%s cannot be read: %v", cmd.File, err)
	}
	if found.Mistake == wire.ClockOff && cmd.Now == "" {
		fmt.Fprintf(t.out, "valid\nits timestamp is %s off by now; judge it with --now\n", roughly(found.Off))
		return nil
	}
	if found.Mistake == nil {
		_, err := fmt.Fprintln(t.out, "valid")
		return err
	}
	text := contract.Fill(found.Mistake.Text, found.Detail)
	fmt.Fprintf(t.out, "invalid: %s\n%s\nfix: %s\n", found.Mistake.Name, text, found.Mistake.Fix)
	if !found.Mistake.Clock {
		fmt.Fprintln(t.out, found.Signed)
	}
	return errInvalid
}

// roughly prints how far a clock is off: days beyond two of them.
func roughly(d time.Duration) string {
	if d = d.Abs(); d > 48*time.Hour {
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return d.Round(time.Second).String()
}

// maxInput is how large a request may be, in bytes.
const maxInput = 4 << 20

func readInput(name string) ([]byte, error) {
	in := io.ReadCloser(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in = f
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = misused("%s is over %d MiB", name, maxInput>>20)
	}
	return data, err
}
