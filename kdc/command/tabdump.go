package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"krealm/dumpfmt"
	"krealm/kdc/tabdump"
)

// tabdumpArgs are the arguments of tabdump.
type tabdumpArgs struct {
	tabdump.Options
	file  string // "" or "-" for standard output
	table string
}

// parseTabdump takes options and the name of the table in any order, as MIT's getopt does.
func (u *kdbUtil) parseTabdump(args []string) (tabdumpArgs, error) {
	var a tabdumpArgs
	var words []string
	g := getopt{args: args, spec: "Hceno:"}
	for {
		opt, arg, err := g.next()
		if err != nil {
			u.errorf("tabdump: %v\n", err)
			return a, errUsage
		}
		switch opt {
		case 'H':
			a.NoHeader = true
		case 'c':
			a.CSV = true
		case 'e':
			a.EmptyHex = true
		case 'n':
			a.Numeric = true
		case 'o':
			a.file = arg
		}
		if opt == 0 {
			if len(g.args) == 0 {
				return a, a.setTable(words)
			}
			words, g.args = append(words, g.args[0]), g.args[1:]
		}
	}
}

// setTable takes the words that are no options; MIT looks at the first only.
func (a *tabdumpArgs) setTable(words []string) error {
	if len(words) == 0 || !slices.Contains(tabdump.Tables(), words[0]) {
		return errUsage
	}
	a.table = words[0]
	return nil
}

// tabdump prints one of the tables. Entries that cannot be printed are named on standard error and
// counted in the exit status.
func (u *kdbUtil) tabdump(ctx context.Context, args []string) error {
	a, err := u.parseTabdump(args)
	if err != nil {
		return err
	}
	if a.MKVNO, err = u.lowestMKVNO(ctx); err != nil {
		return fmt.Errorf("%w performing tabular dump", err)
	}
	if a.file == "" || a.file == "-" {
		return u.writeTable(ctx, u.out, a)
	}
	f, err := os.OpenFile(a.file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("%w opening %s for writing", cause(err), a.file)
	}
	w := bufio.NewWriter(f)
	err = u.writeTable(ctx, w, a)
	if err == nil {
		err = w.Flush()
	}
	return errors.Join(err, f.Close())
}

func (u *kdbUtil) writeTable(ctx context.Context, w io.Writer, a tabdumpArgs) error {
	err := tabdump.Write(w, a.table, a.Options, u.db.Principals(ctx), func(name string, err error) {
		u.fail(fmt.Errorf("%s: %w performing tabular dump", name, err))
	})
	if err != nil {
		return fmt.Errorf("%w performing tabular dump", err)
	}
	return nil
}

// lowestMKVNO is the version of the master key of entries that name none.
func (u *kdbUtil) lowestMKVNO(ctx context.Context) (uint16, error) {
	km, err := u.db.Principal(ctx, u.realm.MasterPrincipal)
	if err != nil {
		return 0, err
	}
	return lowestKvno(km), nil
}

func lowestKvno(p *dumpfmt.Principal) uint16 {
	lowest := uint16(math.MaxUint16)
	for _, k := range p.Keys {
		lowest = min(lowest, k.Kvno)
	}
	return lowest
}
