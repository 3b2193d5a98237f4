package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/kdb"
)

// errRefused ends a full load that is hardly meant: it would lose most of the realm, or its master
// key. What speaks against it has been said.
var errRefused = errors.New("load refused")

// shownNames is how many of the entries that would go are named when a load is refused.
const shownNames = 5

// review looks at a full load before it replaces the database.
func (u *kdbUtil) review(a loadArgs, r *kdb.Review) error {
	var against []string
	if r.After.Principals*2 < r.Before.Principals {
		against = append(against, fmt.Sprintf("%d principals would replace %d", r.After.Principals, r.Before.Principals))
	}
	if text := masterChange(r.Master[0], r.Master[1]); text != "" {
		against = append(against, text)
	}
	if len(against) == 0 || a.force {
		return nil
	}
	for _, text := range against {
		u.errorf("%s: %s: %s\n", kdbUtilName, a.file, text)
	}
	if a.dryRun {
		u.errorf("%s: without -force the load would be refused\n", kdbUtilName)
		u.status++
		return nil
	}
	t := tally{}
	if err := r.Changes(t.add); err != nil {
		return err
	}
	u.errorf("%s: %v\n", kdbUtilName, &t)
	u.errorf("%s: load refused: -force loads it all the same, -n shows every change\n", kdbUtilName)
	return errRefused
}

// masterChange says how a load would change the master key's entry, "" for not at all. A database
// without one has no key that could be lost.
func masterChange(before, after *dumpfmt.Principal) string {
	switch {
	case before == nil:
		return ""
	case after == nil:
		return fmt.Sprintf("the master key's entry %s would be gone, and no key would open", before.Name)
	case sameMaster(before, after):
		return ""
	}
	now, then := versionsOf(before), versionsOf(after)
	if now == then {
		then = "other keys of the same versions"
	}
	return fmt.Sprintf("the master key's entry %s would change: there is %s, in the file %s", before.Name, now, then)
}

// sameMaster compares what of K/M opens and seals keys.
func sameMaster(a, b *dumpfmt.Principal) bool {
	for _, t := range []int16{dumpfmt.TLActKVNO, dumpfmt.TLMkeyAux} {
		x, _ := a.FindTL(t)
		y, _ := b.FindTL(t)
		if string(x) != string(y) {
			return false
		}
	}
	return slices.EqualFunc(a.Keys, b.Keys, func(x, y dumpfmt.Key) bool {
		return x.Kvno == y.Kvno && x.Enctype == y.Enctype && string(x.Sealed) == string(y.Sealed)
	})
}

func versionsOf(p *dumpfmt.Principal) string {
	var list []string
	for i := range p.Keys {
		list = append(list, fmt.Sprintf("version %d (%v)", p.Keys[i].Kvno, krbcrypto.Enctype(p.Keys[i].Enctype)))
	}
	if len(list) == 0 {
		return "no key"
	}
	return strings.Join(list, ", ")
}

// tally counts changes, and remembers the first entries that would go.
type tally struct {
	principals, policies [3]int // by kdb.ChangeKind
	gone                 []string
}

func (t *tally) add(c kdb.LoadChange) error {
	if c.Kind == dumpfmt.KindPolicy {
		t.policies[c.What]++
		return nil
	}
	t.principals[c.What]++
	if c.What == kdb.Removed && len(t.gone) < shownNames {
		t.gone = append(t.gone, c.Name)
	}
	return nil
}

func (t *tally) String() string {
	count := func(what string, n [3]int) string {
		return fmt.Sprintf("%s: %d added, %d changed, %d removed", what, n[kdb.Added], n[kdb.Changed], n[kdb.Removed])
	}
	text := count("principals", t.principals)
	if len(t.gone) > 0 {
		text += " (" + strings.Join(t.gone, ", ")
		if n := t.principals[kdb.Removed] - len(t.gone); n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		text += ")"
	}
	return text + "; " + count("policies", t.policies)
}

// showChange prints a change of a dry run.
func (u *kdbUtil) showChange(c kdb.LoadChange) {
	what := "principal"
	if c.Kind == dumpfmt.KindPolicy {
		what = "policy"
	}
	u.printf("%v %s %s\n", c.What, what, c.Name)
}

// scratch makes an empty database for a dry run where there is none yet, and what removes it.
func (u *kdbUtil) scratch(ctx context.Context) (*kdb.DB, func() error, error) {
	dir, err := os.MkdirTemp(filepath.Dir(u.realm.Database), ".dry-run-*")
	if err != nil {
		return nil, nil, err
	}
	db, err := kdb.Create(ctx, filepath.Join(dir, "db.sqlite"), u.realm.Name, kdb.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return db, func() error { return os.RemoveAll(dir) }, nil
}
