package testrealm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// LoadFixture moves the fixture's realm onto the master: its stash file, then kdb5_util load.
func (r *Realm) LoadFixture(ctx context.Context, f *Fixture) error {
	if err := CopyFile(r.Master.Stash, f.Stash); err != nil {
		return err
	}
	_, err := r.Master.Must(ctx, "", "kdc", "kdb5_util", "-r", RealmName, "load", f.Dump)
	return err
}

// MakeKeytabs gives every host its krep principal and keytab, and every slave the stash file,
// which its KDC needs (krepd does not).
func (r *Realm) MakeKeytabs(ctx context.Context) error {
	for _, h := range append([]*Host{r.Master}, r.Slaves...) {
		if err := r.MakeKeytab(ctx, h); err != nil {
			return err
		}
		if h == r.Master {
			continue
		}
		if err := CopyFile(h.Stash, r.Master.Stash); err != nil {
			return err
		}
	}
	return nil
}

// MakeKeytab makes the krep principal of a host on the master and writes its keytab.
func (r *Realm) MakeKeytab(ctx context.Context, h *Host) error {
	for _, query := range []string{
		"addprinc -clearpolicy -randkey " + h.Principal(),
		"ktadd -k " + h.Keytab + " " + h.Principal(),
	} {
		if _, err := r.Master.Kadmin(ctx, query); err != nil {
			return err
		}
	}
	if _, err := os.Stat(h.Keytab); err != nil {
		return fmt.Errorf("testrealm: ktadd wrote no keytab: %w", err)
	}
	return nil
}

// StartKDC starts our KDC on a host.
func (h *Host) StartKDC(ctx context.Context) (*Process, error) {
	return h.Start(ctx, "kdc", "serve", "-n", "-r", RealmName)
}

// StartKrep starts krep, on the master.
func (h *Host) StartKrep(ctx context.Context) (*Process, error) {
	return h.Start(ctx, "krep", "-r", RealmName)
}

// StartKrepd starts krepd, on a slave.
func (h *Host) StartKrepd(ctx context.Context) (*Process, error) {
	return h.Start(ctx, "krepd", "-r", RealmName)
}

// Dump writes the host's database with kdb5_util dump and returns the bytes.
func (h *Host) Dump(ctx context.Context, name string, options ...string) ([]byte, error) {
	file := filepath.Join(h.Dir, name)
	args := append([]string{"kdb5_util", "-r", RealmName, "dump"}, options...)
	if _, err := h.Must(ctx, "", "kdc", append(args, file)...); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}
