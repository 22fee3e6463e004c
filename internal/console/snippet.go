package console

import (
	"fmt"
	"go/format"
	"reflect"
	"strconv"
	"strings"

	"github.com/ordergate/ordergate/contract"
	"github.com/ordergate/ordergate/internal/wire"
)

// quoted writes a text for a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// goProgram writes a call as a program that uses package client. Secrets come from the
// environment.
func goProgram(base string, m wire.Message) string {
	var b strings.Builder
	b.WriteString("package main\n\nimport (\n\"context\"\n\"fmt\"\n\"log\"\n\"os\"\n\n\"github.com/ordergate/ordergate/client\"\n\"github.com/ordergate/ordergate/contract\"\n)\n\n")
	fmt.Fprintf(&b, "func main() {\nc := &client.Client{URL: %q, AppKey: %q, Secret: contract.Secret(os.Getenv(\"SECRET\"))", base, m.AppKey)
	if m.Session != "" {
		b.WriteString(", Session: contract.Secret(os.Getenv(\"" + sessionVariable + "\"))")
	}
	if m.Target != "" {
		fmt.Fprintf(&b, ", Target: %q", m.Target)
	}
	b.WriteString("}\nreply, err := c." + goCall(m) + "\nif err != nil {\nlog.Fatal(client.Advice(err), \": \", err)\n}\nfmt.Printf(\"%+v\\n\", reply)\n}\n")
	text := b.String()
	formatted, err := format.Source([]byte(text))
	if err != nil {
		return text
	}
	return string(formatted)
}

// goCall writes the call itself: the client's methods are named like the requests, but for
// those that take no request.
func goCall(m wire.Message) string {
	lookup := func(name string) (string, bool) {
		for _, p := range m.Params {
			if p.Name == name {
				return p.Value, true
			}
		}
		return "", false
	}
	switch m.API {
	case contract.SystimeGet:
		return "Systime(context.Background())"
	case contract.EventsProduce:
		text, _ := lookup("messages")
		messages, _ := contract.ParseMessages(text)
		var events []string
		for _, one := range messages {
			if one.Event != nil {
				events = append(events, goValue(reflect.ValueOf(one.Event)))
			}
		}
		return "EventsProduce(context.Background(),\n" + strings.Join(events, ",\n") + ")"
	}
	request, err := m.API.Decode(lookup)
	if err != nil {
		request = m.API.NewRequest()
	}
	name := strings.TrimSuffix(reflect.TypeOf(request).Elem().Name(), "Request")
	return name + "(context.Background(), " + goValue(reflect.ValueOf(request)) + ")"
}

// goValue writes a request as Go does, without what is empty. Secrets are masked.
func goValue(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return "&" + goValue(v.Elem())
	case reflect.Struct:
		var b strings.Builder
		b.WriteString("contract." + v.Type().Name() + "{\n")
		for i := range v.NumField() {
			if f := v.Field(i); v.Type().Field(i).IsExported() && !f.IsZero() {
				b.WriteString(v.Type().Field(i).Name + ": " + goValue(f) + ",\n")
			}
		}
		return b.String() + "}"
	case reflect.Slice:
		var b strings.Builder
		b.WriteString("[]contract." + v.Type().Elem().Name() + "{\n")
		if v.Type().Elem().Kind() == reflect.String {
			b.Reset()
			b.WriteString("[]string{\n")
		}
		for i := range v.Len() {
			b.WriteString(goValue(v.Index(i)) + ",\n")
		}
		return b.String() + "}"
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.String:
		if _, secret := v.Interface().(contract.Secret); secret {
			return strconv.Quote(contract.Masked)
		}
		return strconv.Quote(v.String())
	}
	return fmt.Sprintf("%#v", v.Interface())
}
