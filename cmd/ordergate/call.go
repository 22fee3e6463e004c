package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"time"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

type callCmd struct {
	Method     string          `arg:"" help:"API, such as taobao.qimen.event.produce. One that starts with suning. is called by Suning's protocol, a reverse call by Qimen Cloud's, any other by TOP's."`
	Params     []string        `arg:"" optional:"" sep:"none" name:"name=value" help:"Its parameters; objects and lists of the APIs that ordergate knows as JSON text."`
	URL        string          `default:"http://127.0.0.1:8787" placeholder:"URL" help:"Gateway (default ${default}). Without a path, the protocol's own is added."`
	AppKey     string          `required:"" placeholder:"KEY" help:"app_key, appKey."`
	Secret     contract.Secret `required:"" placeholder:"SECRET" help:"The app's secret."`
	Session    contract.Secret `placeholder:"TOKEN" help:"Access token of the seller."`
	Target     string          `name:"target-app-key" placeholder:"KEY" help:"Reverse calls (qimen.…): app of the merchant who is called."`
	Format     string          `enum:"json,xml" default:"json" help:"Format of the answer: json or xml (default ${default})."`
	Simplify   bool            `help:"TOP: ask for simplified JSON."`
	SignMethod wire.Digest     `enum:"md5,hmac,hmac-sha256" default:"md5" help:"TOP: md5, hmac or hmac-sha256 (default ${default})."`
	Timestamp  string          `placeholder:"TIME" help:"Clock of the call, yyyy-MM-dd HH:mm:ss in GMT+8 (default now)."`
	Explain    bool            `help:"Print the text that was signed, to standard error. The secret shows as ***; what else the text holds is shown: TOP's session, the cards of a Suning message in Base64."`
	DryRun     bool            `help:"Print the HTTP request instead of sending it."`
	Timeout    time.Duration   `default:"30s" help:"How long to wait for the answer (default ${default})."`
}

// errRefused means that the vendor said no; its answer has been printed.
var errRefused = errors.New("refused")

// Run signs, sends and prints.
func (cmd *callCmd) Run(t *terminal) error {
	api := cmd.api()
	message, err := cmd.message(t, api)
	if err != nil {
		return err
	}
	protocol := wire.Of(api)
	sealed, err := protocol.Seal(t, message)
	if err != nil {
		return misused("%v", err)
	}
	if cmd.Explain {
		fmt.Fprintln(t.err, sealed.Signed)
	}
	if cmd.DryRun {
		return sealed.Request.Write(t.out)
	}
	body, err := cmd.send(sealed.Request)
	if err != nil {
		return err
	}
	if _, err := t.out.Write(append(body, '\n')); err != nil {
		return err
	}
	reply, err := protocol.Unseal(api, body)
	if err == nil {
		if no := api.Refusal(reply); no != nil {
			err = no
		}
	}
	if refused, ok := errors.AsType[*contract.Refused](err); ok {
		return fmt.Errorf("%w: %w; advice: %s", errRefused, refused, advice(api, message.Params, refused))
	}
	return err
}

// api finds the contract, or makes one without fields for an API that has none
// here: the protocol suffices to call it.
func (cmd *callCmd) api() *contract.API {
	if api, ok := contract.ByMethod(cmd.Method); ok {
		return api
	}
	protocol := contract.TOP
	if strings.HasPrefix(cmd.Method, string(contract.Suning)+".") {
		protocol = contract.Suning
	}
	return contract.Define[struct{}, struct{}](contract.API{Method: cmd.Method, Protocol: protocol, Reverse: strings.HasPrefix(cmd.Method, "qimen.")})
}

// advice is what the contract advises about a refusal of these parameters: what
// is done for one request may be the end for another.
func advice(api *contract.API, params []contract.Param, refused *contract.Refused) contract.Advice {
	request, err := api.Decode(func(name string) (string, bool) {
		i := slices.IndexFunc(params, func(p contract.Param) bool { return p.Name == name })
		if i < 0 {
			return "", false
		}
		return params[i].Value, true
	})
	switch {
	case err == nil:
		return api.Advice(request, refused)
	case refused.Advice() == contract.Done: // nobody knows of what
		return contract.Stop
	}
	return refused.Advice()
}

func (cmd *callCmd) message(t *terminal, api *contract.API) (wire.Message, error) {
	target, err := wire.Of(api).Target(cmd.URL)
	if err != nil {
		return wire.Message{}, misused("--url %v", err)
	}
	m := wire.Message{
		URL: target, AppKey: cmd.AppKey, Secret: cmd.Secret, Session: cmd.Session, Target: cmd.Target, API: api,
		Format: wire.Format{JSON: cmd.Format == "json", Simplify: cmd.Simplify}, Digest: cmd.SignMethod, Time: time.Now(),
	}
	if cmd.Timestamp != "" {
		var ok bool
		if m.Time, ok = wire.ParseTimestamp(cmd.Timestamp); !ok {
			return m, misused("--timestamp %q: want yyyy-MM-dd HH:mm:ss", cmd.Timestamp)
		}
	}
	seen := map[string]bool{}
	for _, param := range cmd.Params {
		name, value, ok := strings.Cut(param, "=")
		if !ok || name == "" {
			return m, misused("%q: want name=value", param)
		}
		if api.Protocol == contract.TOP && contract.IsTOPParam(name) {
			return m, misused("%s is the protocol's parameter: call sets it, by a flag where it has one", name)
		}
		if seen[name] {
			return m, misused("%s is given twice", name)
		}
		seen[name] = true
		if _, known := api.Field(name); !known && len(api.Request) > 0 {
			fmt.Fprintf(t.err, "note: the page of %s has no parameter %s\n", api.Method, name)
		}
		m.Params = append(m.Params, contract.Param{Name: name, Value: value})
	}
	return m, nil
}

func (cmd *callCmd) send(r *http.Request) ([]byte, error) {
	client := http.Client{
		Timeout:       cmd.Timeout,
		Transport:     &http.Transport{DisableCompression: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	sent := false
	trace := &httptrace.ClientTrace{WroteHeaders: func() { sent = true }}
	response, err := client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil && sent {
		return nil, fmt.Errorf("the call was sent to %s and not answered: nobody knows whether it was carried out; look for its order there before you repeat it: %w", r.URL.Host, wire.WithoutURL(err))
	}
	if err != nil {
		return nil, fmt.Errorf("gateway %s not reached: %w", r.URL.Host, wire.WithoutURL(err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, wire.MaxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("gateway answered HTTP %s", response.Status)
	}
	return body, nil
}
