package verify

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

// Severity says how bad a Finding is.
type Severity int

// The severities.
const (
	Warning Severity = iota
	Error
)

func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is one thing that is wrong. Its text quotes no key material.
type Finding struct {
	Severity Severity
	Line     int    // in a file, from 1; 0 without one
	Name     string // of the entry; "" where no entry is meant
	Text     string
}

// Options say what to look with.
type Options struct {
	// Master is the name of the master key's entry, with realm.
	Master string
	// Ring opens the keys; nil: they stay unopened.
	Ring *mkey.Ring
	// History is the entry of kadmin/history, whose key seals the remembered keys; nil: they stay
	// unopened.
	History *dumpfmt.Principal
	// Report is told each finding, in no particular order.
	Report func(Finding)
	// Progress, if not nil, is told how many principals have come, for each of them.
	Progress func(n int)
}

// Summary counts what was seen.
type Summary struct {
	Principals, Policies int
	Keys, KeysOpened     int // K/M's own are not counted as opened by themselves: they made the ring
	Remembered           int // keys of password histories
	RememberedOpened     int
	Errors, Warnings     int
}

// Checker takes the entries of one realm, one by one, and then End. It is not for concurrent use.
type Checker struct {
	o       Options
	sum     Summary
	history []*krbcrypto.Key // of kadmin/history, newest first
	histNo  uint16           // their newest kvno
	realm   string           // of the master key's entry

	seed     maphash.Seed
	names    []uint64 // hashes of all principals
	policies map[string]bool
	policyOf map[string]reference // policies that principals refer to
	aliases  map[string]reference // targets of aliases
	master   bool
	tgt      bool
}

// reference is who refers to something.
type reference struct {
	count int
	line  int    // of the first
	name  string // of the first
}

// New begins a check. Keys of kadmin/history that do not open are found when that entry comes.
func New(o Options) *Checker {
	c := &Checker{o: o, seed: maphash.MakeSeed(), policies: make(map[string]bool),
		policyOf: make(map[string]reference), aliases: make(map[string]reference)}
	if name, err := dumpfmt.ParseName(o.Master, ""); err == nil {
		c.realm = name.Realm
	}
	if o.History != nil && o.Ring != nil {
		h := o.History.Clone()
		h.SortKeys()
		for i := range h.Keys {
			if k, err := o.Ring.OpenKey(h, &h.Keys[i]); err == nil {
				c.history = append(c.history, k)
			}
		}
		c.histNo = h.CurrentKvno()
	}
	return c
}

func (c *Checker) report(f Finding) {
	if f.Severity == Error {
		c.sum.Errors++
	} else {
		c.sum.Warnings++
	}
	c.o.Report(f)
}

// at reports findings about one entry.
type at struct {
	c    *Checker
	line int
	name string
}

func (a at) say(s Severity, format string, args ...any) {
	a.c.report(Finding{Severity: s, Line: a.line, Name: a.name, Text: fmt.Sprintf(format, args...)})
}

func (a at) error(format string, args ...any)   { a.say(Error, format, args...) }
func (a at) warning(format string, args ...any) { a.say(Warning, format, args...) }

// Policy takes a policy.
func (c *Checker) Policy(p *dumpfmt.Policy, line int) {
	c.sum.Policies++
	a := at{c, line, p.Name}
	if c.policies[p.Name] {
		a.warning("this policy comes twice in the file: the last counts")
	}
	c.policies[p.Name] = true
	if len(p.Name) > dumpfmt.MaxLMDBName {
		a.warning("the name has %d bytes: MIT's LMDB database takes %d", len(p.Name), dumpfmt.MaxLMDBName)
	}
	if p.MaxLife != 0 && p.MinLife > p.MaxLife {
		a.warning("the minimum password life is longer than the maximum: passwords can never be changed in time")
	}
}

func (c *Checker) refer(m map[string]reference, to, from string, line int) {
	r, ok := m[to]
	if !ok {
		r = reference{line: line, name: from}
	}
	r.count++
	m[to] = r
}

// End looks at what only the whole shows, and returns the counts. Duplicate principals are reported
// without their names: see Duplicates.
func (c *Checker) End() Summary {
	slices.Sort(c.names)
	for _, name := range slices.Sorted(maps.Keys(c.policyOf)) {
		if r := c.policyOf[name]; !c.policies[name] {
			at{c, r.line, r.name}.warning("refers to policy %q, which does not exist%s: no rules apply", name, r.others())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.aliases)) {
		if r := c.aliases[name]; !c.known(name) {
			at{c, r.line, r.name}.warning("is an alias of %q, which does not exist%s", name, r.others())
		}
	}
	if !c.master {
		at{c, 0, c.o.Master}.error("does not exist: without the master key's entry no key opens, and MIT's kdb5_util does not dump the realm")
	}
	if !c.tgt {
		c.report(Finding{Severity: Warning, Text: "there is no krbtgt entry of a realm for itself: no KDC can serve this"})
	}
	return c.sum
}

func (r reference) others() string {
	if r.count == 1 {
		return ""
	}
	return fmt.Sprintf(", as %d others do", r.count-1)
}

// known reports whether a principal has come. names are sorted.
func (c *Checker) known(name string) bool {
	_, ok := slices.BinarySearch(c.names, c.hash(name))
	return ok
}

func (c *Checker) hash(name string) uint64 { return maphash.String(c.seed, name) }

// Duplicates returns the hashes of principals that came twice or more, after End; Hash makes them
// of names. Two names may share a hash, though that is not to be expected.
func (c *Checker) Duplicates() map[uint64]bool {
	double := make(map[uint64]bool)
	for i := 1; i < len(c.names); i++ {
		if c.names[i] == c.names[i-1] {
			double[c.names[i]] = true
		}
	}
	return double
}

// keyError describes why a key does not open, in the words of a report.
func keyError(err error) string {
	switch {
	case errors.Is(err, mkey.ErrSealed), errors.Is(err, krbcrypto.ErrIntegrity):
		return "no version of the master key opens it"
	case errors.Is(err, krbcrypto.ErrKeySize):
		return "what it opens to is no key of its type"
	}
	return err.Error()
}

func keyName(k *dumpfmt.Key) string {
	return fmt.Sprintf("version %d (%v)", k.Kvno, krbcrypto.Enctype(k.Enctype))
}
