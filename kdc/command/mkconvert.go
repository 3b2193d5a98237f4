package command

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

// converter changes what a dump with -mkey_convert writes; the database stays as it is.
type converter struct {
	ring   *mkey.Ring
	master *dumpfmt.Principal // K/M with the new version
	kvno   uint16             // of the new version
}

// newConverter adds a version to the master key: the one in the given stash file, or one made
// of a password that is asked for.
func (u *kdbUtil) newConverter(ctx context.Context, stash string) (*converter, error) {
	if u.ring == nil {
		return nil, errNoMasterKeys
	}
	key, err := u.newMasterKey(stash)
	if err != nil {
		return nil, fmt.Errorf("%w while reading new master key", err)
	}
	km, err := u.db.Principal(ctx, u.realm.MasterPrincipal)
	if err != nil {
		return nil, fmt.Errorf("%w while getting master key principal %s", err, u.realm.MasterPrincipal)
	}
	c := &converter{}
	if c.master, c.ring, err = u.ring.AddVersion(km, key, u.now()); err != nil {
		return nil, err
	}
	c.kvno = c.ring.Versions()[0].Kvno
	return c, nil
}

func (u *kdbUtil) newMasterKey(stash string) (*krbcrypto.Key, error) {
	if stash == "" {
		u.printf("Please enter new master key....\n")
		password, err := u.newPassword(masterPrompt, masterPromptAgain)
		if err != nil {
			return nil, err
		}
		return mkey.PasswordKey(u.realm.MasterKeyType, u.realm.MasterPrincipal, password)
	}
	st, err := mkey.ReadStashOf(stash, u.realm.MasterPrincipal)
	if err != nil {
		return nil, messagef("Can not fetch master key (error: %w).", err)
	}
	newest := st.Keys[0]
	for _, k := range st.Keys {
		if u.masterKvno == k.Kvno {
			return k.Key, nil
		}
		if k.Kvno > newest.Kvno {
			newest = k
		}
	}
	return newest.Key, nil
}

// record seals a record with the new version.
func (c *converter) record(rec dumpfmt.Record) (dumpfmt.Record, error) {
	p, ok := rec.(*dumpfmt.Principal)
	switch {
	case !ok:
		return rec, nil
	case p.Name == c.master.Name:
		return c.master, nil
	}
	return p, c.ring.SealPrincipalWith(p, c.kvno)
}

// writeConverted is kdb.DB.Dump with a converter between the database and w.
func (u *kdbUtil) writeConverted(ctx context.Context, w io.Writer, a dumpArgs) error {
	version := a.Version
	if version == 0 {
		version = dumpfmt.Current
	}
	a.Version = dumpfmt.Current
	out, err := dumpfmt.NewWriter(w, version)
	if err != nil {
		return err
	}
	near, far := io.Pipe()
	var g errgroup.Group
	g.Go(func() error {
		_, err := u.db.Dump(ctx, far, a.DumpOptions)
		return errors.Join(err, far.CloseWithError(err))
	})
	g.Go(func() error {
		err := a.convert.copy(out, near)
		return errors.Join(err, near.CloseWithError(err))
	})
	return g.Wait()
}

func (c *converter) copy(out *dumpfmt.Writer, r io.Reader) error {
	in, err := dumpfmt.NewReader(r)
	if err != nil {
		return err
	}
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err == nil {
			rec, err = c.record(rec)
		}
		if err == nil {
			err = out.Write(rec)
		}
		if err != nil {
			return err
		}
	}
}
