package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// healthyCmd is for those who watch over a gateway and have no other program to ask with,
// as in a container.
type healthyCmd struct {
	Server  string        `default:"http://127.0.0.1:8788" placeholder:"URL" help:"Management address (default ${default})."`
	Timeout time.Duration `default:"5s" help:"How long to wait for the answer (default ${default})."`
}

// Run asks /readyz.
func (cmd *healthyCmd) Run(t *terminal) error {
	r, err := http.NewRequestWithContext(t, http.MethodGet, strings.TrimSuffix(cmd.Server, "/")+"/readyz", http.NoBody)
	if err != nil {
		return misused("--server: %v", err)
	}
	response, err := (&http.Client{Timeout: cmd.Timeout}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(text)))
	}
	_, err = fmt.Fprint(t.out, string(text))
	return err
}
