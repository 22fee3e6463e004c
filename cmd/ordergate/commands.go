package main

import (
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ordergate/ordergate/contract"
)

// command is a command as its help shows it: what completion and man page are made of.
type command struct {
	path []string // without ordergate; empty: that itself
	help string
	args []string // placeholders
	subs []*command
	own  []*kong.Flag
}

// name is its last word.
func (c *command) name() string {
	if len(c.path) == 0 {
		return "ordergate"
	}
	return c.path[len(c.path)-1]
}

// commands are all that are shown, ordergate itself first.
func commands() ([]*command, error) {
	parser, err := newParser(&cli{}, &configResolver{}, func(int) {}, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	var all []*command
	collect(parser.Model.Node, nil, &all)
	return all, nil
}

func collect(n *kong.Node, path []string, all *[]*command) *command {
	c := &command{path: path, help: n.Help}
	*all = append(*all, c)
	for _, flag := range n.Flags {
		if !flag.Hidden && flag.Name != "help" {
			c.own = append(c.own, flag)
		}
	}
	for _, arg := range n.Positional {
		c.args = append(c.args, arg.Summary())
	}
	for _, child := range n.Children {
		if !child.Hidden {
			c.subs = append(c.subs, collect(child, append(path[:len(path):len(path)], child.Name), all))
		}
	}
	return c
}

// words are what may stand where a command wants a name: its commands, or the methods that
// it calls.
func (c *command) words() (names, helps []string) {
	for _, sub := range c.subs {
		names, helps = append(names, sub.name()), append(helps, sub.help)
	}
	if c.name() == "call" {
		for _, api := range contract.All {
			names, helps = append(names, api.Method), append(helps, api.Title)
		}
	}
	return names, helps
}

// valuesOfFlag are the values that a flag takes; none: any.
func valuesOfFlag(flag *kong.Flag) []string {
	if flag.Enum == "" {
		return nil
	}
	return strings.Split(flag.Enum, ",")
}

// sentence is the first sentence of a help text.
func sentence(text string) string {
	head, _, _ := strings.Cut(text, ". ")
	head, _, _ = strings.Cut(head, ": ")
	head, _, _ = strings.Cut(head, " (default")
	return strings.TrimSuffix(head, ".")
}
