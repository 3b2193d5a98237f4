package largerealm

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/mkey"
)

// Options describe a realm. Only N has no default.
type Options struct {
	N        int    // principals, from 5 on
	Seed     uint64 // another seed, another realm
	Realm    string // "EXAMPLE.COM"
	Password string // master password, "master"
	Policies int    // 8; below 0 none
	// KnownEvery: of the people, one in so many has the password that Person tells, 1000; below
	// 0 none. A known password costs a few thousand times what a random key does.
	KnownEvery int
	Time       time.Time // of the making; nothing is younger
	// Shuffle gives the principals in an order of no use to any index.
	Shuffle bool
}

// Realm is a realm that can be written. Its methods may be called concurrently.
type Realm struct {
	o        Options
	sections []section
	master   *krbcrypto.Key
	history  []byte // key of kadmin/history
	stride   int    // between neighbours in the file, 1 for the proper order
}

// defaultTime is that of all realms without one of their own.
var defaultTime = time.Unix(1700000000, 0)

// New prepares a realm.
func New(o Options) (*Realm, error) {
	if o.N < minEntries || o.N > maxEntries {
		return nil, fmt.Errorf("largerealm: %d principals, want %d to %d", o.N, minEntries, maxEntries)
	}
	if o.Realm == "" {
		o.Realm = "EXAMPLE.COM"
	}
	if o.Password == "" {
		o.Password = "master"
	}
	if o.Policies == 0 {
		o.Policies = 8
	}
	if o.KnownEvery == 0 {
		o.KnownEvery = 1000
	}
	if o.Time.IsZero() {
		o.Time = defaultTime
	}
	master, err := mkey.PasswordKey(krbcrypto.ETypeAES256SHA1, mkey.MasterName(o.Realm), []byte(o.Password))
	if err != nil {
		return nil, err
	}
	r := &Realm{o: o, sections: sections(o.N), master: master, stride: 1}
	if o.Shuffle {
		r.stride = coprime(o.N)
	}
	r.history = bytesOf(r.rand(r.section(kindHistory).first, 1), krbcrypto.KeyBytes(krbcrypto.ETypeAES256SHA1))
	return r, nil
}

// coprime returns a stride that visits all of n entries, far from its neighbours each.
func coprime(n int) int {
	for s := max(n*5/8, 1); ; s++ {
		a, b := s, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return s
		}
	}
}

func (r *Realm) section(k kind) section { return r.sections[k] }

// rand is the source of all that is drawn for one entry; purpose keeps uses apart.
func (r *Realm) rand(entry int, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(r.o.Seed^purpose<<56, uint64(entry)*0x9e3779b97f4a7c15))
}

func (r *Realm) noise(k kind, i int) uint64 {
	return rand.NewPCG(r.o.Seed^uint64(k+16)<<56, uint64(i)*0x9e3779b97f4a7c15).Uint64()
}

func bytesOf(rnd *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, rnd.Uint64())
	}
	return b[:n]
}

// WriteStash writes the realm's stash file.
func (r *Realm) WriteStash(path string) error {
	return mkey.WriteStash(path, r.o.Realm, []mkey.StashKey{{Kvno: 1, Key: r.master}})
}

// Person returns the i-th principal, with realm, whose password is known, and that password.
// There are Known of them.
func (r *Realm) Person(i int) (principal, password string) {
	s := r.section(kindPeople)
	name := word(initials, i*r.o.KnownEvery, s.count, r.noise(s.kind, i*r.o.KnownEvery))
	return name + "@" + r.o.Realm, "pw-" + name
}

// Known is the number of people with a known password.
func (r *Realm) Known() int {
	s := r.section(kindPeople)
	if r.o.KnownEvery < 0 || s.count == 0 {
		return 0
	}
	last, admin := person(s.count - 1)
	if admin {
		last-- // the person itself would come next
	}
	return last/r.o.KnownEvery + 1
}

// chunk is how many records are made at a time.
const chunk = 512

// WriteDump writes the realm as a dump file of version 7. Records are made by as many goroutines
// as there are processors and written in their order.
func (r *Realm) WriteDump(ctx context.Context, w io.Writer) error {
	out := bufio.NewWriterSize(w, 1<<20)
	if _, err := fmt.Fprintf(out, "kdb5_util load_dump version %d\n", dumpfmt.Current); err != nil {
		return err
	}
	type piece struct {
		from int
		done chan []byte
	}
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	todo, order := make(chan piece), make(chan piece, 2*workers)
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		for from := 0; from < r.o.N; from += chunk {
			p := piece{from, make(chan []byte, 1)}
			for _, to := range []chan piece{order, todo} {
				select {
				case to <- p:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error {
			m := newMaker(r)
			for p := range todo {
				b, err := m.lines(p.from, min(p.from+chunk, r.o.N))
				if err != nil {
					return err
				}
				p.done <- b
			}
			return nil
		})
	}
	g.Go(func() error {
		for p := range order {
			select {
			case b := <-p.done:
				if _, err := out.Write(b); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := r.writePolicies(out); err != nil {
		return err
	}
	return out.Flush()
}

func (r *Realm) writePolicies(w io.Writer) error {
	var b []byte
	for i := range max(r.o.Policies, 0) {
		p := &dumpfmt.Policy{Name: policyName(i), MinLength: 8, MinClasses: 2, History: uint32(1 + i%6),
			MaxFail: 5, FailInterval: 600, LockoutDuration: 3600}
		if i%2 == 1 {
			p.MaxLife = 90 * 86400
		}
		var err error
		if b, err = p.AppendLine(b, dumpfmt.Current); err != nil {
			return err
		}
	}
	_, err := w.Write(b)
	return err
}

func policyName(i int) string { return fmt.Sprintf("policy%04d", i) }
