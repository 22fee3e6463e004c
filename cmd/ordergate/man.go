package main

import (
	"fmt"
	"io"
	"strings"
)

// manCmd prints the man page, made of the help.
type manCmd struct{}

// Help says how it is read.
func (cmd *manCmd) Help() string {
	return "ordergate man > /usr/share/man/man1/ordergate.1; or, without installing it: ordergate man | man -l -"
}

// Run prints it.
func (cmd *manCmd) Run(t *terminal) error {
	all, err := commands()
	if err != nil {
		return err
	}
	writeMan(t.out, all)
	return nil
}

// roff quotes a text: what begins a request does not begin a line, and dashes stay dashes.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "\n\n", "\n.PP\n").Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

func writeMan(w io.Writer, all []*command) {
	fmt.Fprintf(w, ".TH ORDERGATE 1 \"\" \"ordergate %s\" \"Ordergate\"\n.SH NAME\nordergate \\- %s\n", version, roff("a gateway for order events between merchants and marketplaces, in the marketplaces' own protocols"))
	fmt.Fprint(w, ".SH SYNOPSIS\n")
	for _, c := range all[1:] {
		if c.subs == nil {
			fmt.Fprintf(w, ".B ordergate %s\n%s\n.br\n", roff(strings.Join(c.path, " ")), roff(strings.Join(append(c.args, "[flags]"), " ")))
		}
	}
	fmt.Fprint(w, ".SH DESCRIPTION\n"+roff("Programs keep the vendor SDK that they have and change one URL: what was acknowledged is on disk, orders obey their rules, and every event reaches the platforms, ERPs, webhooks and streams that must know. ordergate serve --demo starts it with the apps and orders of the vendors' pages.")+"\n.SH COMMANDS\n")
	for _, c := range all[1:] {
		if c.subs != nil {
			continue
		}
		fmt.Fprintf(w, ".SS ordergate %s\n%s\n", roff(strings.Join(append(c.path, c.args...), " ")), roff(c.help))
		for _, flag := range c.own {
			fmt.Fprintf(w, ".TP\n.B \\-\\-%s", roff(flag.Name))
			if !flag.IsBool() {
				fmt.Fprintf(w, "=\\fI%s\\fR", roff(flag.FormatPlaceHolder()))
			}
			fmt.Fprintf(w, "\n%s\n", roff(strings.TrimSuffix(flag.Help, " ")))
			if len(flag.Envs) > 0 {
				fmt.Fprintf(w, "Environment: %s.\n", roff(strings.Join(flag.Envs, ", ")))
			}
		}
	}
	fmt.Fprint(w, ".SH EXIT STATUS\n.TP\n.B 0\nDone.\n.TP\n.B 1\nRefused, or failed.\n.TP\n.B 2\nMisused.\n.SH FILES\n")
	for _, file := range [][2]string{
		{defaultDatabase, "The ledger, unless --database says otherwise."},
		{defaultDatabase + keySuffix, "The key that secrets in it are sealed with. Without it they are lost: keep a copy elsewhere."},
		{defaultDatabase + tokenSuffix, "The token of the management API and the console."},
	} {
		fmt.Fprintf(w, ".TP\n.I %s\n%s\n", roff(file[0]), roff(file[1]))
	}
	fmt.Fprint(w, ".SH SIGNALS\n.TP\n.B SIGHUP\n"+roff("serve reads its configuration again.")+"\n.TP\n.B SIGTERM\n"+roff("serve finishes what it has accepted, and ends. A second one ends it at once.")+"\n")
}
