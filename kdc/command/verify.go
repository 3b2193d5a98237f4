package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"krealm/dumpfmt"
	"krealm/kdc/kdb"
	"krealm/kdc/verify"
)

// verifyShown is how many findings are printed unless -v asks for all.
const verifyShown = 100

// verify looks for what is wrong with a dump file, or with the database. The exit status is 0 when
// nothing but warnings was found and every key could be tried.
func (u *kdbUtil) verify(ctx context.Context, args []string) error {
	all := false
	for ; len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-'; args = args[1:] {
		if args[0] != "-v" {
			return errUsage
		}
		all = true
	}
	if len(args) > 1 {
		return errUsage
	}
	shown, more := 0, 0
	p := u.progress("verified")
	o := verify.Options{Master: u.realm.MasterPrincipal, Progress: p.set}
	where := ""
	o.Report = func(f verify.Finding) {
		if shown++; shown > verifyShown && !all {
			more++
			return
		}
		u.printf("%s%s\n", where, findingText(f))
	}
	var sum verify.Summary
	var err error
	if len(args) == 1 {
		where = args[0] + ":"
		sum, err = u.verifyFile(args[0], o, p)
	} else {
		sum, err = u.verifyDatabase(ctx, o, p)
	}
	p.end()
	if err != nil {
		return err
	}
	if more > 0 {
		u.printf("... and %d more; -v shows all\n", more)
	}
	u.printf("%s\n", u.summary(sum))
	if sum.Errors > 0 {
		return errSilent
	}
	return nil
}

// findingText is a finding as it is printed; a name with control characters is quoted.
func findingText(f verify.Finding) string {
	text := fmt.Sprintf("%v: %s", f.Severity, f.Text)
	if f.Name != "" {
		name := f.Name
		if !printable(name) {
			name = strconv.Quote(name)
		}
		text = name + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("%d: %s", f.Line, text)
	}
	return text
}

func printable(s string) bool {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return true
}

func (u *kdbUtil) summary(s verify.Summary) string {
	keys := fmt.Sprintf("%d of %d keys and %d of %d remembered keys open", s.KeysOpened, s.Keys, s.RememberedOpened, s.Remembered)
	if u.ring == nil {
		keys = fmt.Sprintf("%d keys, not tried without a master key", s.Keys)
	}
	return fmt.Sprintf("%d principals, %d policies; %s; %d errors, %d warnings", s.Principals, s.Policies, keys, s.Errors, s.Warnings)
}

func (u *kdbUtil) verifyFile(path string, o verify.Options, p *progress) (sum verify.Summary, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, fmt.Errorf("%w while opening %s", cause(err), path)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return sum, fmt.Errorf("%s is no regular file: verify reads it more than once", path)
	}
	p.share = func() float64 {
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil || fi.Size() == 0 {
			return 0
		}
		return float64(at) / float64(fi.Size())
	}
	found, err := verify.Find(f, o.Master, u.historyPrincipal())
	if errors.Is(err, dumpfmt.ErrHeader) {
		return sum, fmt.Errorf("dump header bad in %s", path)
	}
	if err != nil {
		return sum, err
	}
	if km := found[o.Master]; km != nil {
		u.openMaster(km)
	}
	o.Ring, o.History = u.ring, found[u.historyPrincipal()]
	return verify.File(f, o)
}

func (u *kdbUtil) verifyDatabase(ctx context.Context, o verify.Options, p *progress) (sum verify.Summary, err error) {
	if err := u.openAll(ctx); err != nil {
		return sum, err
	}
	if n, _, err := u.db.Count(ctx); err == nil {
		p.of(n)
	}
	o.Ring = u.ring
	o.History, err = u.db.Principal(ctx, u.historyPrincipal())
	if err != nil && !errors.Is(err, kdb.ErrNotFound) {
		return sum, err
	}
	return verify.Database(ctx, u.db, o)
}

func (u *kdbUtil) historyPrincipal() string {
	return dumpfmt.Name{Realm: u.realm.Name, Components: []string{"kadmin", "history"}}.String()
}
