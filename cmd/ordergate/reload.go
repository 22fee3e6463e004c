package main

import (
	"cmp"
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
)

// rereading is a look at the configuration that is under way, or what came of it.
type rereading struct {
	cmd      *serveCmd
	settings *settings
	err      error
}

// reload takes up what has changed in the configuration file, and in the files that it or
// the flags name: what is marked live in serveCmd. When any of it is wrong all stays as it
// was.
func (g *gateway) reload(t *terminal, working context.Context, read rereading) {
	fresh, states := read.cmd, read.settings
	if read.err != nil {
		g.log.Error("not reloaded: all stays as it was", "error", read.err)
		return
	}
	if applied, err := g.declare(t, states.states); err != nil { // a stop ends it
		g.log.Error("not reloaded: a document contradicts what is stored; settings stay as they were, and so does what it declares and what those behind it do", "error", err, "documents_applied", applied)
		return
	}
	now := g.cmd.Load()
	took, later := changes(now, fresh)
	kept := *now
	for _, name := range took {
		reflect.ValueOf(&kept).Elem().FieldByName(name.field).Set(reflect.ValueOf(fresh).Elem().FieldByName(name.field))
	}
	g.cmd.Store(&kept)
	g.level.Set(kept.LogLevel)
	g.allow(states)
	if slices.ContainsFunc(took, func(c changed) bool { return c.field == "AllowPrivate" }) {
		g.courier.Reconnect()
	}
	if g.certificate.Load() != nil && states.certificate != nil {
		g.certificate.Store(states.certificate)
	}
	g.stopChores()
	g.chores.Wait()
	g.startChores(working, states.keep)
	g.log.Info("reloaded", "changed", flagNames(took), "documents", len(states.states))
	if len(later) > 0 {
		g.log.Warn("these settings take effect at the next start", "settings", flagNames(later))
	}
}

// reread reads and checks the configuration anew. Files may be slow to come.
func reread(args []string) rereading {
	c, config := &cli{}, &configResolver{}
	parser, err := newParser(c, config, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		return rereading{err: err}
	}
	if _, err := parser.Parse(args); err != nil {
		return rereading{err: cmp.Or(config.err, err)}
	}
	s, err := c.Serve.settings(config)
	return rereading{&c.Serve, s, err}
}

// changed is a setting that is another now.
type changed struct{ field, flag string }

// changes tells what is different: what can be taken up, and what only a start can.
func changes(old, fresh *serveCmd) (live, later []changed) {
	a, b := reflect.ValueOf(*old), reflect.ValueOf(*fresh)
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if field.Anonymous || field.Name == "Check" || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		if field.Name == "Database" && fresh.Database == "" { // the default was filled in
			continue
		}
		c := changed{field.Name, flagNameOf(field)}
		tlsBegins := strings.HasPrefix(c.flag, "tls-") && (old.TLSCert == "" || fresh.TLSCert == "")
		if _, isLive := field.Tag.Lookup("live"); isLive && !tlsBegins {
			live = append(live, c)
		} else {
			later = append(later, c)
		}
	}
	return live, later
}

// flagNameOf is the flag of a field of serveCmd.
func flagNameOf(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range field.Name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func flagNames(list []changed) string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.flag
	}
	return strings.Join(names, ", ")
}
