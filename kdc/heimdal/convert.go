package heimdal

import (
	"errors"
	"fmt"
	"io"
	"time"

	"krealm/dumpfmt"
	"krealm/dumpfmt/heimdal"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

// usageHDB is the key usage number under which Heimdal seals keys (Heimdal lib/hdb/mkey.c).
const usageHDB = 0x484442

// ErrSealed means a key that Heimdal's master key has sealed and that did not open.
var ErrSealed = errors.New("sealed by Heimdal's master key")

// Options say what a dump is turned into.
type Options struct {
	// Ring seals the keys, with the version active at Now.
	Ring *mkey.Ring
	Now  time.Time
	// Heimdal are the versions of Heimdal's master key; none for a dump made with --decrypt.
	Heimdal []mkey.StashKey
	// Master is the entry of the master key that goes in front; nil for none.
	Master *dumpfmt.Principal
	// Warn is told what is left out.
	Warn func(line int, name, text string)
}

// source gives the entries of a dump of either form.
type source interface {
	next() (*heimdal.Entry, error)
	line() int
}

type ownForm struct{ r *heimdal.Reader }

func (s ownForm) next() (*heimdal.Entry, error) { return s.r.Next() }
func (s ownForm) line() int                     { return s.r.Line() }

type mitForm struct{ r *dumpfmt.Reader }

func (s mitForm) next() (*heimdal.Entry, error) {
	rec, err := s.r.Next()
	if err != nil {
		return nil, err
	}
	p, ok := rec.(*dumpfmt.Principal)
	if !ok {
		return nil, &dumpfmt.SyntaxError{Line: s.r.Line(), Field: 1, Err: errors.New("no record that Heimdal writes")}
	}
	return heimdal.FromMIT(p), nil
}

func (s mitForm) line() int { return s.r.Line() }

// Own returns a reader of the MIT dump that a dump in Heimdal's own form becomes. An error in the
// dump is a *dumpfmt.SyntaxError with its line.
func Own(r io.Reader, o Options) io.Reader { return newConverter(ownForm{heimdal.NewReader(r)}, o) }

// MIT does the same for a dump that Heimdal wrote in MIT's form.
func MIT(r io.Reader, o Options) (io.Reader, error) {
	in, err := dumpfmt.NewReader(r)
	if err != nil {
		return nil, err
	}
	return newConverter(mitForm{in}, o), nil
}

// converter prints entry by entry, as it is read.
type converter struct {
	src    source
	o      Options
	buf    []byte // printed and not read yet
	err    error  // what comes behind buf
	sealer mkey.Version
}

func newConverter(src source, o Options) *converter {
	c := &converter{src: src, o: o, sealer: o.Ring.Active(o.Now)}
	c.buf = fmt.Appendf(nil, "kdb5_util load_dump version %d\n", dumpfmt.Current)
	if o.Master != nil {
		c.print(o.Master)
	}
	return c
}

// Read implements io.Reader.
func (c *converter) Read(p []byte) (int, error) {
	if len(c.buf) == 0 && c.err == nil {
		c.err = c.convert()
	}
	if len(c.buf) == 0 {
		return 0, c.err
	}
	n := copy(p, c.buf)
	c.buf = c.buf[:copy(c.buf, c.buf[n:])]
	return n, nil
}

func (c *converter) print(p *dumpfmt.Principal) {
	buf, err := p.AppendLine(c.buf, dumpfmt.Current)
	if c.buf = buf; err != nil && c.err == nil {
		c.err = c.at(err)
	}
}

// at gives an error its place in the dump.
func (c *converter) at(err error) error {
	return &dumpfmt.SyntaxError{Line: c.src.line(), Err: err}
}

func (c *converter) warn(name, format string, args ...any) {
	c.o.Warn(c.src.line(), name, fmt.Sprintf(format, args...))
}

// convert prints the next entry.
func (c *converter) convert() error {
	e, err := c.src.next()
	if err != nil {
		return err
	}
	p := e.Principal
	if c.o.Master != nil && p.Name == c.o.Master.Name {
		c.warn(p.Name, "left out: the realm has its own master key")
		return nil
	}
	for _, what := range e.Lost {
		c.warn(p.Name, "left out: %s", what)
	}
	for i := range e.Keys {
		if err := c.key(p, &e.Keys[i]); err != nil {
			return c.at(err)
		}
	}
	if len(p.Keys) == 0 && len(e.Keys) > 0 {
		c.warn(p.Name, "has no key left")
	}
	p.SetMKVNO(c.sealer.Kvno)
	if _, ok := p.FindTL(dumpfmt.TLKadmData); !ok {
		p.SetKadmData(dumpfmt.KadmData{HistKVNO: firstHistory})
	}
	p.SortKeys()
	c.print(p)
	c.aliases(p, e.Aliases)
	return c.err
}

// firstHistory is the version of kadmin/history that MIT's entries name before there is one.
const firstHistory = 2

// key opens a key, seals it and gives it to the entry. An old key that does not open is left out: a
// dump made with --decrypt has them sealed all the same.
func (c *converter) key(p *dumpfmt.Principal, k *heimdal.Key) error {
	e := krbcrypto.Enctype(k.Enctype)
	if !krbcrypto.Supported(e) {
		c.warn(p.Name, "left out: key version %d of enctype %d (%v)", k.Kvno, k.Enctype, e)
		return nil
	}
	value := k.Value
	if k.Sealed {
		var err error
		value, err = c.open(k)
		switch {
		case err != nil && k.Old:
			c.warn(p.Name, "left out: old key version %d (%v): %v", k.Kvno, e, err)
			return nil
		case err != nil:
			return fmt.Errorf("key version %d (%v) of %q: %w", k.Kvno, e, p.Name, err)
		}
		defer clear(value)
	}
	key, err := krbcrypto.NewKey(e, value)
	if err != nil {
		return fmt.Errorf("key version %d (%v) of %q: %w", k.Kvno, e, p.Name, err)
	}
	p.Keys = append(p.Keys, dumpfmt.Key{Ver: k.Ver, Kvno: k.Kvno, Enctype: int16(k.Enctype), Sealed: mkey.SealUnder(c.sealer.Key, key),
		SaltType: k.SaltType, Salt: k.Salt})
	return nil
}

// open opens a key with the version of Heimdal's master key that it names, then with the others;
// under Heimdal's usage number and, as databases moved from MIT have it, under MIT's.
func (c *converter) open(k *heimdal.Key) ([]byte, error) {
	if len(c.o.Heimdal) == 0 {
		return nil, ErrSealed
	}
	for _, named := range []bool{true, false} {
		for _, m := range c.o.Heimdal {
			if (int64(m.Kvno) == k.MKVNO) != named {
				continue
			}
			for _, usage := range []uint32{usageHDB, krbcrypto.UsageDatabase} {
				b, err := m.Key.Decrypt(nil, usage, k.Value)
				n := krbcrypto.KeyBytes(krbcrypto.Enctype(k.Enctype))
				if err == nil && len(b) >= n {
					return b[:n], nil // what is behind it is padding
				}
			}
		}
	}
	return nil, fmt.Errorf("%w, and not by the one given", ErrSealed)
}

// aliases prints the other names as entries of their own.
func (c *converter) aliases(p *dumpfmt.Principal, names []string) {
	self, err := dumpfmt.ParseName(p.Name, "")
	if err != nil {
		return // no entry of a reader's
	}
	when, by, _ := p.ModPrinc()
	for _, name := range names {
		n, err := dumpfmt.ParseName(name, "")
		if err != nil || n.Realm != self.Realm {
			c.warn(p.Name, "left out: alias %q in another realm", name)
			continue
		}
		a := &dumpfmt.Principal{Name: name, Attributes: dumpfmt.AttrDisallowAllTix}
		a.SetAliasTarget(p.Name)
		a.SetModPrinc(when, by)
		a.SetKadmData(dumpfmt.KadmData{})
		c.print(a)
	}
}
