package apply

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Config is a configuration file: settings of the program, and a declared state beside
// them. In both ${NAME} stands for environment variables.
type Config struct {
	Settings []Setting // in the order of the file

	state *yaml.Node
}

// Setting is a setting of the program. What it means and whether it is one, the program
// knows.
type Setting struct {
	Name   string
	Line   int
	Values []string // one, unless it is a list
	List   bool
}

// stateKeys are the keys of a declared state.
var stateKeys = func() map[string]bool {
	keys := map[string]bool{}
	for field := range reflect.TypeFor[Document]().Fields() {
		keys[field.Tag.Get("yaml")] = true
	}
	return keys
}()

// content is what a node stands for: a document for its value, an alias for what it names.
func content(n *yaml.Node) *yaml.Node {
	for {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode && n.Alias != nil:
			n = n.Alias
		default:
			return n
		}
	}
}

// ParseConfig reads a configuration file, but for the state. The error names lines.
func ParseConfig(data []byte) (*Config, error) {
	root, err := tree(data, 1)
	if err != nil {
		return nil, err
	}
	root = content(root)
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: want settings, such as listen: 127.0.0.1:8787", max(root.Line, 1))
	}
	c := &Config{state: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line}}
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if line, twice := seen[key.Value]; twice {
			return nil, fmt.Errorf("line %d: %s is set on line %d, too: keep one of them", key.Line, key.Value, line)
		}
		seen[key.Value] = key.Line
		if stateKeys[key.Value] {
			c.state.Content = append(c.state.Content, key, value)
			continue
		}
		if err := expand(value); err != nil {
			return nil, err
		}
		setting, err := settingOf(key, value)
		if err != nil {
			return nil, err
		}
		c.Settings = append(c.Settings, setting)
	}
	return c, nil
}

// State reads the declared state. Commands that only want settings need not know the
// secrets that stand in it.
func (c *Config) State() (*Document, error) {
	if err := expand(c.state); err != nil {
		return nil, err
	}
	d := &Document{}
	return d, load(c.state, d)
}

func settingOf(key, value *yaml.Node) (Setting, error) {
	value = content(value)
	s := Setting{Name: key.Value, Line: key.Line, List: value.Kind == yaml.SequenceNode}
	values := []*yaml.Node{value}
	if s.List {
		values = value.Content
	}
	for _, v := range values {
		v = content(v)
		if v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
			return s, fmt.Errorf("line %d: %s: want one value, or a list of values", key.Line, key.Value)
		}
		s.Values = append(s.Values, v.Value)
	}
	return s, nil
}

// Line is the line of what a mistake in the state is about, such as
// destinations[0].url; of what is not there, that of what it should stand in.
func (c *Config) Line(location string) int { return lineOf(c.state, location) }

// Locate finds the lines of places in a document, as [Config.Line] does.
func Locate(data []byte) func(location string) int {
	root, err := tree(data, 1)
	return func(location string) int {
		if err != nil {
			return 0
		}
		return lineOf(content(root), location)
	}
}

// pathStep is a name or an index of a location.
var pathStep = regexp.MustCompile(`[^.\[\]]+`)

func lineOf(n *yaml.Node, location string) int {
	line := 0
	for _, step := range pathStep.FindAllString(location, -1) {
		var next *yaml.Node
		switch index, err := strconv.Atoi(step); {
		case n.Kind == yaml.SequenceNode && err == nil && index < len(n.Content):
			next = n.Content[index]
			line = next.Line
		case n.Kind == yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if strings.EqualFold(n.Content[i].Value, step) {
					next, line = n.Content[i+1], n.Content[i].Line
				}
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return line
}
