package command

import (
	"fmt"
	"strings"
)

// getopt takes single-letter options off a command line, as the function of that name does:
// letters may be joined, an argument may stand in the same word or in the next one, and
// the first word that is no option ends it, as does "--", which is dropped.
type getopt struct {
	args []string // what is left
	spec string   // the letters; a colon after one means that it takes an argument
	word string   // what is left of a word of joined letters
}

// next returns the next option; 0 at the end.
func (g *getopt) next() (opt byte, arg string, err error) {
	if g.word == "" {
		if len(g.args) == 0 || len(g.args[0]) < 2 || g.args[0][0] != '-' {
			return 0, "", nil
		}
		w := g.args[0]
		g.args = g.args[1:]
		if w == "--" {
			return 0, "", nil
		}
		g.word = w[1:]
	}
	opt = g.word[0]
	g.word = g.word[1:]
	i := strings.IndexByte(g.spec, opt)
	if i < 0 || opt == ':' {
		return 0, "", fmt.Errorf("invalid option -- '%c'", opt)
	}
	if i+1 == len(g.spec) || g.spec[i+1] != ':' {
		return opt, "", nil
	}
	arg, g.word = g.word, ""
	if arg == "" {
		if len(g.args) == 0 {
			return 0, "", fmt.Errorf("option requires an argument -- '%c'", opt)
		}
		arg, g.args = g.args[0], g.args[1:]
	}
	return opt, arg, nil
}
