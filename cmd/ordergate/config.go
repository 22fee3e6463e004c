package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ordergate/ordergate/internal/apply"
	"github.com/ordergate/ordergate/internal/order"
)

// configured is embedded by commands that take settings from the configuration file of
// serve.
type configured struct {
	Config string `placeholder:"FILE" help:"YAML file with these flags as settings, and with apps, sessions, destinations and orders. Flags come first, then the environment, then the file."`
}

// configFlag is the flag that names the file.
const configFlag = "config"

// notSettings are the flags of serve that are no settings.
var notSettings = []string{"help", configFlag, "check"}

// configResolver takes flags from the configuration file that a command names, unless
// the command line or the environment has them.
type configResolver struct {
	path   string
	config *apply.Config  // nil: none has been read
	taken  map[string]int // flags that the file set, and the lines of it
	err    error          // why the file cannot be used
}

// Validate implements kong.Resolver.
func (r *configResolver) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (r *configResolver) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	at := slices.IndexFunc(parent.Flags, func(f *kong.Flag) bool { return f.Name == configFlag })
	if at < 0 || slices.Contains(notSettings, flag.Name) {
		return nil, nil
	}
	if path, _ := ctx.FlagValue(parent.Flags[at]).(string); path != r.path {
		if r.err = r.read(path, ctx.Model.Node); r.err != nil {
			return nil, r.err
		}
	}
	if r.config == nil || slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	for _, s := range r.config.Settings {
		if flagOf(s.Name) == flag.Name {
			r.taken[flag.Name] = s.Line
			return valueOf(s), nil
		}
	}
	return nil, nil
}

func isSet(name string) bool { return os.Getenv(name) != "" }

// flagOf is the flag that a setting is.
func flagOf(setting string) string { return strings.ReplaceAll(setting, "_", "-") }

// valueOf is a setting as the command line's parser takes it.
func valueOf(s apply.Setting) any {
	if !s.List {
		return s.Values[0]
	}
	list := make([]any, len(s.Values))
	for i, value := range s.Values {
		list[i] = value
	}
	return list
}

// read reads a file and checks its settings against the flags of serve.
func (r *configResolver) read(path string, root *kong.Node) error {
	r.path, r.config, r.taken = path, nil, map[string]int{}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	c, err := apply.ParseConfig(data)
	if err != nil {
		return r.named(err)
	}
	serve := root.Children[slices.IndexFunc(root.Children, func(n *kong.Node) bool { return n.Name == "serve" })]
	var errs []error
	for _, s := range c.Settings {
		if err := checkSetting(serve, s); err != nil {
			errs = append(errs, fmt.Errorf("line %d: %s: %w", s.Line, s.Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return r.named(err)
	}
	r.config = c
	return nil
}

// named says which file the lines of an error are of.
func (r *configResolver) named(err error) error {
	return errors.New(r.path + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+r.path+": "))
}

func checkSetting(serve *kong.Node, s apply.Setting) error {
	var names []string
	for _, flag := range serve.Flags {
		if slices.Contains(notSettings, flag.Name) {
			continue
		}
		names = append(names, strings.ReplaceAll(flag.Name, "-", "_"))
		if names[len(names)-1] != s.Name {
			continue
		}
		value := reflect.New(flag.Target.Type()).Elem()
		if s.List && value.Kind() != reflect.Slice {
			return errors.New("want one value, not a list. " + flag.Help)
		}
		if err := flag.Parse(kong.Scan().PushTyped(valueOf(s), kong.FlagValueToken), value); err != nil {
			return fmt.Errorf("%s. %s", strings.TrimPrefix(err.Error(), "--"+flag.Name+": "), flag.Help)
		}
		if flag.Enum != "" && !slices.Contains(strings.Split(flag.Enum, ","), fmt.Sprint(value)) {
			return fmt.Errorf("want one of %s", strings.ReplaceAll(flag.Enum, ",", ", "))
		}
		return nil
	}
	return fmt.Errorf("there is no such setting; did you mean %s? The settings are the flags of serve, with _ for -", nearest(s.Name, names))
}

// nearest is the name that the fewest changes of letters lead to.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is how many letters are to be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// flagError is what is wrong with the value of a flag.
type flagError struct{ flag, text string }

// Error words it as the command line's parser does.
func (e *flagError) Error() string { return "--" + e.flag + " " + e.text }

// Unwrap marks it as a misuse.
func (e *flagError) Unwrap() error { return errMisused }

func wrongFlag(flag, format string, args ...any) error {
	return &flagError{flag, fmt.Sprintf(format, args...)}
}

// located says where in the file a flag was set that is wrong.
func (r *configResolver) located(err error) error {
	wrong, ok := errors.AsType[*flagError](err)
	if line := 0; ok && r != nil {
		if line, ok = r.taken[wrong.flag]; ok {
			return fmt.Errorf("%w: %s: line %d: %s: %s", errMisused, r.path, line, strings.ReplaceAll(wrong.flag, "-", "_"), wrong.text)
		}
	}
	return err
}

// state is the state that the file declares; nil: there is no file.
func (r *configResolver) state() (*declared, error) {
	if r == nil || r.config == nil {
		return nil, nil
	}
	document, err := r.config.State()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMisused, r.named(err))
	}
	d := &declared{file: r.path, document: document, line: r.config.Line}
	return d, d.check()
}

// declared is a declared state and where it comes from.
type declared struct {
	file     string
	document *apply.Document
	text     []byte // with environment variables filled in; of a configuration file it is not known
	line     func(location string) int
}

// readDeclared reads and checks a document.
func readDeclared(file string) (*declared, error) {
	data, err := readWhole(file)
	if err != nil {
		return nil, err
	}
	document, text, err := apply.Expand(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := &declared{file, document, text, apply.Locate(data)}
	return d, d.check()
}

// readWhole reads a file; - is standard input.
func readWhole(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(name)
}

// check looks for mistakes that can be seen without a look at what is stored.
func (d *declared) check() error {
	_, err := d.document.Resolve()
	return d.located(err)
}

// located words mistakes with their file and lines.
func (d *declared) located(err error) error {
	mistakes, ok := errors.AsType[order.Mistakes](err)
	if !ok {
		if err != nil {
			err = fmt.Errorf("%s: %w", d.file, err)
		}
		return err
	}
	lines := make([]string, len(mistakes))
	for i, m := range mistakes {
		if lines[i] = d.file + ": "; d.line(m.Location) > 0 {
			lines[i] += fmt.Sprintf("line %d: ", d.line(m.Location))
		}
		lines[i] += m.Location + ": " + m.Text
	}
	return errors.New(strings.Join(lines, "\n"))
}
