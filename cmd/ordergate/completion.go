package main

import (
	"fmt"
	"io"
	"strings"
)

// completionCmd prints what a shell reads to complete commands, flags and their values.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says where it goes.
func (cmd *completionCmd) Help() string {
	return "bash: ordergate completion bash > /usr/share/bash-completion/completions/ordergate\n\n" +
		"zsh: ordergate completion zsh > /usr/share/zsh/site-functions/_ordergate\n\n" +
		"fish: ordergate completion fish > /usr/share/fish/vendor_completions.d/ordergate.fish"
}

// Run prints it.
func (cmd *completionCmd) Run(t *terminal) error {
	all, err := commands()
	if err != nil {
		return err
	}
	write := map[string]func(io.Writer, []*command){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[cmd.Shell]
	write(t.out, all)
	return nil
}

// flagWords are a command's flags as they are written.
func (c *command) flagWords() (words []string) {
	for _, flag := range c.own {
		words = append(words, "--"+flag.Name)
	}
	return append(words, "--help")
}

// pathsOf are the commands that lead somewhere, as patterns of a shell's case.
func pathsOf(all []*command) string {
	var paths []string
	for _, c := range all[1:] {
		paths = append(paths, `" `+strings.Join(c.path, " ")+`"`)
	}
	return strings.Join(paths, "|")
}

func completeBash(w io.Writer, all []*command) {
	fmt.Fprintf(w, `# bash completion of ordergate, made by: ordergate completion bash
_ordergate() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev= path= words= i
	((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$path ${COMP_WORDS[i]}" in
		%s) path="$path ${COMP_WORDS[i]}" ;;
		esac
	done
	case "$path" in
`, pathsOf(all))
	for _, c := range all {
		names, _ := c.words()
		fmt.Fprintf(w, "\t%q)\n\t\tcase \"$prev\" in\n", spaced(c.path))
		for _, flag := range c.own {
			if values := valuesOfFlag(flag); values != nil {
				fmt.Fprintf(w, "\t\t--%s) words=%q ;;\n", flag.Name, strings.Join(values, " "))
			}
		}
		fmt.Fprintf(w, "\t\t*) words=%q ;;\n\t\tesac\n\t\t;;\n", strings.Join(append(names, c.flagWords()...), " "))
	}
	fmt.Fprint(w, `	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _ordergate ordergate
`)
}

// spaced is a path as the scripts keep it.
func spaced(path []string) string {
	if len(path) == 0 {
		return ""
	}
	return " " + strings.Join(path, " ")
}

// zshText quotes a text for an entry of _describe.
func zshText(text string) string {
	return "'" + strings.NewReplacer("'", `'\''`, ":", `\:`).Replace(text) + "'"
}

func completeZsh(w io.Writer, all []*command) {
	fmt.Fprintf(w, `#compdef ordergate
# zsh completion of ordergate, made by: ordergate completion zsh
_ordergate() {
	local path= i
	local -a entries
	for ((i = 2; i < CURRENT; i++)); do
		case "$path ${words[i]}" in
		%s) path="$path ${words[i]}" ;;
		esac
	done
	case "$path" in
`, pathsOf(all))
	for _, c := range all {
		fmt.Fprintf(w, "\t%q)\n\t\tcase \"${words[CURRENT-1]}\" in\n", spaced(c.path))
		for _, flag := range c.own {
			if values := valuesOfFlag(flag); values != nil {
				fmt.Fprintf(w, "\t\t--%s) entries=(%s) ;;\n", flag.Name, strings.Join(values, " "))
			}
		}
		fmt.Fprint(w, "\t\t*) entries=(\n")
		names, helps := c.words()
		for i, name := range names {
			fmt.Fprintf(w, "\t\t\t%s\n", zshText(name)[:len(zshText(name))-1]+":"+zshText(sentence(helps[i]))[1:])
		}
		for _, flag := range c.own {
			fmt.Fprintf(w, "\t\t\t%s\n", "'--"+flag.Name+":"+zshText(sentence(flag.Help))[1:])
		}
		fmt.Fprint(w, "\t\t\t'--help:Show help'\n\t\t) ;;\n\t\tesac\n\t\t;;\n")
	}
	fmt.Fprint(w, `	esac
	_describe ordergate entries || _files
}
if [ "$funcstack[1]" = "_ordergate" ]; then
	_ordergate
else
	compdef _ordergate ordergate
fi
`)
}

func fishText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

func completeFish(w io.Writer, all []*command) {
	fmt.Fprint(w, `# fish completion of ordergate, made by: ordergate completion fish
function __ordergate_at
	set -l path
	for word in (commandline -opc)[2..-1]
		switch "$path $word"
`)
	for _, c := range all[1:] {
		fmt.Fprintf(w, "\t\t\tcase %s\n\t\t\t\tset path \"$path $word\"\n", fishText(spaced(c.path)))
	}
	fmt.Fprint(w, `		end
	end
	test "$path" = "$argv[1]"
end
`)
	for _, c := range all {
		at := "-n " + fishText("__ordergate_at "+fishText(spaced(c.path)))
		names, helps := c.words()
		for i, name := range names {
			fmt.Fprintf(w, "complete -c ordergate %s -f -a %s -d %s\n", at, fishText(name), fishText(sentence(helps[i])))
		}
		for _, flag := range c.own {
			takes := " -r"
			if flag.IsBool() {
				takes = ""
			}
			if values := valuesOfFlag(flag); values != nil {
				takes += " -f -a " + fishText(strings.Join(values, " "))
			}
			fmt.Fprintf(w, "complete -c ordergate %s -l %s%s -d %s\n", at, flag.Name, takes, fishText(sentence(flag.Help)))
		}
	}
}
