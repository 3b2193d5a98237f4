package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// loaded is what krep logs when a slave has taken over a full copy.
const loaded = "full copy loaded"

// fullCopy fills an empty slave with a large realm, and then once more while the slave's KDC
// answers logins, one after the other.
func (s *settings) fullCopy(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	realm, err := testrealm.New(testrealm.Options{Bin: s.bin, Slaves: []string{"slave1"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, realm.Close()) }()
	large, err := s.large(ctx, realm)
	if err != nil {
		return err
	}
	slave := realm.Slaves[0]
	if _, err := realm.Master.StartKDC(ctx); err != nil {
		return err
	}
	krepd, err := slave.StartKrepd(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	krep, err := realm.Master.StartKrep(ctx)
	if err != nil {
		return err
	}
	if err := krep.WaitLog(ctx, loaded); err != nil {
		return err
	}
	fmt.Printf("\n%d principals, one slave\n", s.copied)
	peak, err := memory(krepd.Pid(), "VmHWM")
	if err != nil {
		return err
	}
	mine, err := memory(krep.Pid(), "VmHWM")
	if err != nil {
		return err
	}
	fmt.Printf("  empty slave filled %.2f s after krep was started; at their peaks krep takes %.1f MiB, krepd %.1f MiB\n",
		time.Since(start).Seconds(), mine, peak)

	if _, err := slave.StartKDC(ctx); err != nil {
		return err
	}
	quiet, err := logins(ctx, slave, large, func() bool { return false })
	if err != nil {
		return err
	}
	fmt.Printf("  logins at the slave, at rest          %v\n", quiet)
	start = time.Now()
	if _, err := realm.Master.Must(ctx, "", "krep", "resync", fmt.Sprintf("127.0.0.1:%d", slave.KrepdPort)); err != nil {
		return err
	}
	busy, err := logins(ctx, slave, large, func() bool { return strings.Count(krep.Log(), loaded) < 2 })
	if err != nil {
		return fmt.Errorf("login while a full copy is loaded: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Printf("  logins during another full copy       %v   (the copy took %.2f s)\n", busy, time.Since(start).Seconds())
	return nil
}

// large makes the realm and moves it onto the master.
func (s *settings) large(ctx context.Context, realm *testrealm.Realm) (*largerealm.Realm, error) {
	large, err := largerealm.New(largerealm.Options{N: s.copied, Realm: testrealm.RealmName})
	if err != nil {
		return nil, err
	}
	f := &testrealm.Fixture{Dump: filepath.Join(realm.Master.Dir, "large.dump"), Stash: filepath.Join(realm.Master.Dir, "large.stash")}
	out, err := os.OpenFile(f.Dump, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(large.WriteDump(ctx, out), out.Close(), large.WriteStash(f.Stash)); err != nil {
		return nil, err
	}
	return large, errors.Join(realm.LoadFixture(ctx, f), realm.MakeKeytabs(ctx))
}

// logins logs in twenty times, and on as long as more says so. All must succeed.
func logins(ctx context.Context, h *testrealm.Host, large *largerealm.Realm, more func() bool) (spread, error) {
	var list []time.Duration
	for i := 0; ctx.Err() == nil && (i < 20 || more()); i++ {
		name, password := large.Person(i % large.Known())
		start := time.Now()
		if _, _, err := h.GoLogin(name, password, "krbtgt/"+testrealm.RealmName); err != nil {
			return spread{}, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, time.Since(start))
	}
	if len(list) == 0 {
		return spread{}, ctx.Err()
	}
	return spreadOf(list), nil
}
