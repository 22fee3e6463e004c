package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/admin"
	"github.com/ordergate/ordergate/internal/wire"
)

// management says where the management API is.
type management struct {
	Server string          `default:"http://127.0.0.1:8788" placeholder:"URL" help:"Management address (default ${default})."`
	Token  contract.Secret `env:"ORDERGATE_TOKEN,ORDERGATE_ADMIN_TOKEN" placeholder:"TOKEN" help:"Admin token (default: that of a demo of yours that runs there, else what ${token_file} in this folder holds)."`
}

type applyCmd struct {
	management
	File string `short:"f" required:"" placeholder:"FILE" help:"The document; - reads standard input. $${NAME} in a value is that environment variable."`
}

// Run checks the file here and sends it.
func (cmd *applyCmd) Run(t *terminal) error {
	d, err := readDeclared(cmd.File)
	if err != nil {
		return err
	}
	var applied admin.Applied
	if err := cmd.send(t, http.MethodPost, "/v1/apply", d.text, &applied); err != nil {
		return fmt.Errorf("%s: %w", cmd.File, err)
	}
	_, err = fmt.Fprintf(t.out, "applied apps=%d sessions=%d orders=%d destinations=%d\n", applied.Apps, applied.Sessions, applied.Orders, applied.Destinations)
	return err
}

// send makes a request to the management API and decodes the answer.
func (m *management) send(t *terminal, method, path string, body []byte, answer any) error {
	r, err := http.NewRequestWithContext(t, method, strings.TrimSuffix(m.Server, "/")+path, bytes.NewReader(body))
	if err != nil {
		return misused("--server: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+m.token())
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("management API not reached; is serve running, and --server right? %w", err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswer))
	if err != nil {
		return err
	}
	if err := m.refused(response, data); err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(data, answer)
}

// refused words an answer that says no.
func (m *management) refused(response *http.Response, data []byte) error {
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return &refusedError{errors.New("the admin token is missing or wrong: give --token; serve printed where it is kept")}
	case response.StatusCode >= 500, response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusRequestTimeout:
		return problemError(response.Status, data)
	case response.StatusCode >= 300:
		return &refusedError{problemError(response.Status, data)}
	}
	return nil
}

// refusedError is an answer that says no: asking again changes nothing.
type refusedError struct{ error }

// errStreamEnded is the end of a stream that nobody asked for.
var errStreamEnded = errors.New("the gateway closed it")

// maxStreamed is the longest line of a stream: an event with parameters of a megabyte,
// every character of them escaped.
const maxStreamed = 8 << 20

// stream opens a stream of server-sent events behind the last one that was seen; empty:
// with what comes from now on.
func (m *management) stream(t *terminal, path, last string) (lines *bufio.Scanner, closeStream func(), err error) {
	r, err := http.NewRequestWithContext(t, http.MethodGet, strings.TrimSuffix(m.Server, "/")+path, http.NoBody)
	if err != nil {
		return nil, nil, misused("--server: %v", err)
	}
	r.Header.Set("Authorization", "Bearer "+m.token())
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	response, err := (&http.Client{}).Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("management API not reached; is serve running, and --server right? %w", err)
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		data, _ := io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswer))
		return nil, nil, m.refused(response, data)
	}
	lines = bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxStreamed)
	return lines, func() { _ = response.Body.Close() }, nil
}

func (m *management) token() string {
	if m.Token != "" {
		return string(m.Token)
	}
	if token := demoToken(m.Server); token != "" {
		return token
	}
	text, err := os.ReadFile(defaultDatabase + tokenSuffix)
	if err != nil {
		return "" // the answer, 401, says what to do
	}
	return strings.TrimSpace(string(text))
}

// problemError words an error answer, one mistake a line.
func problemError(status string, data []byte) error {
	var p admin.Problem
	if json.Unmarshal(data, &p) != nil || p.Detail == "" {
		return errors.New(status + "; is --server the admin port of a gateway?")
	}
	text := p.Detail
	for _, e := range p.Errors {
		text += "\n  " + strings.TrimPrefix(e.Location+": ", ": ") + e.Message
	}
	return errors.New(text)
}
