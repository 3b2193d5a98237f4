package admin

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/internal/realmconf"
	"krealm/kdc/kdb"
	"krealm/kdc/mkey"
)

// rollover are databases of MIT 1.20.1 through a rollover of the master key, step by step, and
// newRollover of 1.23.
const (
	rollover    = "../../kdc/mkey/testdata/mkey/1.20.1/"
	newRollover = "../../kdc/mkey/testdata/mkey/1.23pre/"
)

// loadedHouse opens a dump of MIT's with a stash file of MIT's. The clock stands after all that
// the dump knows of.
func loadedHouse(t *testing.T, dir, dump, stash string) *house {
	t.Helper()
	const realm = "EXAMPLE.COM"
	h := &house{t: t, ctx: t.Context(), clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.conf = &realmconf.Realm{
		Name: realm, MasterKeyName: "K/M", MasterPrincipal: "K/M@" + realm, MaxLife: 24 * time.Hour,
		SupportedEnctypes: []realmconf.KeySalt{{Enctype: krbcrypto.ETypeAES256SHA1}},
	}
	var err error
	if h.db, err = kdb.Create(h.ctx, filepath.Join(t.TempDir(), "principal.sqlite"), realm, kdb.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	f, err := os.Open(dir + dump + ".dump")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := h.db.Load(h.ctx, f, kdb.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	h.Admin = h.admin(readStash(t, dir+stash+".stash"))
	return h
}

func readStash(t *testing.T, path string) *mkey.Stash {
	t.Helper()
	st, err := mkey.ReadStash(path, "EXAMPLE.COM")
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func (h *house) admin(st *mkey.Stash) *Admin {
	h.t.Helper()
	open := func(km *dumpfmt.Principal) (*mkey.Ring, error) { return mkey.Open(st, km) }
	a, err := New(h.ctx, h.db, h.conf, open, Options{Clock: func() time.Time { return h.clock }})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// entries returns all entries but K/M.
func (h *house) entries() map[string]*dumpfmt.Principal {
	h.t.Helper()
	m := make(map[string]*dumpfmt.Principal)
	for p, err := range h.db.Principals(h.ctx) {
		if err != nil {
			h.t.Fatal(err)
		}
		if !h.isMaster(p.Name) {
			m[p.Name] = p
		}
	}
	return m
}

// ring opens the master key as the database has it.
func (h *house) ring() *mkey.Ring {
	h.t.Helper()
	km, err := h.Admin.master(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := h.ringOf(km)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func fixtureEntries(t *testing.T, path string) map[string]*dumpfmt.Principal {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := dumpfmt.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]*dumpfmt.Principal)
	for {
		rec, err := r.Next()
		if err != nil {
			return m
		}
		if p, ok := rec.(*dumpfmt.Principal); ok {
			m[p.Name] = p
		}
	}
}

// plainLine is an entry's line without what differs by chance: sealed bytes and the time of the
// modification.
func plainLine(t *testing.T, p *dumpfmt.Principal) string {
	t.Helper()
	p = p.Clone()
	for i := range p.Keys {
		p.Keys[i].Sealed = make([]byte, len(p.Keys[i].Sealed))
	}
	_, by, _ := p.ModPrinc()
	p.SetModPrinc(0, by)
	line, err := p.AppendLine(nil, dumpfmt.Current)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// checkKeys compares all keys with those that an independent decoder took out of the same step
// of MIT's.
func (h *house) checkKeys(dir, tsv string, sealedBy uint16) {
	h.t.Helper()
	data, err := os.ReadFile(dir + tsv + ".keys.tsv")
	if err != nil {
		h.t.Fatal(err)
	}
	ring, entries, n := h.ring(), h.entries(), 0
	for _, row := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		f := strings.Split(row, "\t")
		p := entries[f[0]]
		if p == nil {
			continue // K/M
		}
		for i := range p.Keys {
			k := &p.Keys[i]
			if fmt.Sprint(k.Kvno, " ", k.Enctype) != f[1]+" "+f[2] {
				continue
			}
			n++
			key, by, err := ring.OpenKeyVersion(p, k)
			switch {
			case err != nil:
				h.t.Error(err)
			case hex.EncodeToString(key.Bytes()) != f[3]:
				h.t.Errorf("%s version %s enctype %s is another key", f[0], f[1], f[2])
			case by != sealedBy:
				h.t.Errorf("%s is sealed by version %d, want %d", f[0], by, sealedBy)
			}
		}
	}
	if n < 10 {
		h.t.Errorf("%d keys compared", n)
	}
}

// TestReencryptLikeMIT makes the step that MIT made, with one difference: the entry that MIT left
// unreadable (dump format specification, 7.3, first fault) is mended, and survives the purge.
func TestReencryptLikeMIT(t *testing.T) {
	for _, dir := range []string{rollover, newRollover} {
		t.Run(filepath.Base(dir), func(t *testing.T) { reencryptLikeMIT(t, dir) })
	}
}

func reencryptLikeMIT(t *testing.T, dir string) {
	h := loadedHouse(t, dir, "3-mixed", "3-mixed")
	dry := Reencryption{DryRun: true}
	before := h.serial()
	want := Reencrypted{Kvno: 2, Updated: 7, Current: 4}
	got, err := h.Reencrypt(h.ctx, dry)
	if err != nil || got != want || h.serial() != before {
		t.Errorf("dry run: %+v, %v, serial %d; want %+v and serial %d", got, err, h.serial(), want, before)
	}
	var told []string
	got, err = h.Reencrypt(h.ctx, Reencryption{Each: func(name string, o Outcome) { told = append(told, fmt.Sprint(name, " ", o)) }})
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if len(told) != 11 || !slices.IsSorted(told) {
		t.Errorf("told %q", told)
	}
	if n := h.serial() - before; n != 7 {
		t.Errorf("%d changesets, want 7", n)
	}
	mit := fixtureEntries(t, dir+"5-reencrypted.dump")
	for name, p := range h.entries() {
		if name == "svc/new@EXAMPLE.COM" {
			continue // passed over by MIT
		}
		if got, want := plainLine(t, p), plainLine(t, mit[name]); got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
	h.checkKeys(dir, "3-mixed", 2)
	if got, err := h.Reencrypt(h.ctx, Reencryption{}); err != nil || got.Updated != 0 || got.Current != 11 {
		t.Errorf("again: %+v, %v", got, err)
	}
	// The stash file of this step has version 1 only.
	if _, err := h.PurgeMasterKeys(h.ctx, readStash(t, dir+"3-mixed.stash"), false); !errors.Is(err, mkey.ErrStashOld) {
		t.Errorf("purge with the old stash file: %v", err)
	}
	stash := readStash(t, dir+"4-stashed.stash")
	h.Admin = h.admin(stash)
	for _, dryRun := range []bool{true, false} {
		if gone, err := h.PurgeMasterKeys(h.ctx, stash, dryRun); err != nil || !slices.Equal(gone, []uint16{1}) {
			t.Errorf("purge, dry %v: %v, %v", dryRun, gone, err)
		}
	}
	h.checkKeys(dir, "3-mixed", 2)
	if gone, err := h.PurgeMasterKeys(h.ctx, stash, false); err != nil || gone != nil {
		t.Errorf("purge again: %v, %v", gone, err)
	}
}

// TestPurgeNeedsReality: an entry says that it needs version 2 only, but a key of it needs 1.
func TestPurgeNeedsReality(t *testing.T) {
	h := loadedHouse(t, rollover, "5-reencrypted", "5-reencrypted")
	gone, err := h.PurgeMasterKeys(h.ctx, nil, false)
	if err != nil || gone != nil {
		t.Errorf("purged %v, %v", gone, err)
	}
}

// TestPurgeSeesChangesMeanwhile lets an entry sealed by the old version come in between the look
// through the entries and the removal.
func TestPurgeSeesChangesMeanwhile(t *testing.T) {
	h := loadedHouse(t, rollover, "5-reencrypted", "5-reencrypted")
	old := fixtureEntries(t, rollover+"0-before.dump")["svc/old@EXAMPLE.COM"]
	if _, err := h.Reencrypt(h.ctx, Reencryption{}); err != nil {
		t.Fatal(err)
	}
	state, used, err := h.masterKeysUsed(h.ctx)
	if err != nil || !slices.Equal(used, []uint16{2}) {
		t.Fatalf("used %v, %v", used, err)
	}
	put := func(p *dumpfmt.Principal) {
		t.Helper()
		if _, err := h.db.Update(h.ctx, func(tx *kdb.Tx) error { return tx.PutPrincipal(p) }); err != nil {
			t.Fatal(err)
		}
	}
	put(old)
	gone, err := h.purge(h.ctx, state, used, nil, false)
	if err != nil || gone != nil {
		t.Errorf("purged %v, %v", gone, err)
	}
	p := old.Clone()
	if err := h.ring().SealPrincipalWith(p, 2); err != nil {
		t.Fatal(err)
	}
	put(p)
	gone, err = h.purge(h.ctx, state, used, nil, false)
	if err != nil || !slices.Equal(gone, []uint16{1}) {
		t.Errorf("purged %v, %v", gone, err)
	}
	var buf bytes.Buffer
	if _, err := h.db.Dump(h.ctx, &buf, kdb.DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.db.Load(h.ctx, &buf, kdb.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.purge(h.ctx, state, used, nil, false); !errors.Is(err, errMoved) {
		t.Errorf("after a load: %v, want errMoved", err)
	}
}

// TestMasterKeyLife goes from a new realm through two rollovers.
func TestMasterKeyLife(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("u", "pw-u", Fields{}), nil)
	list := func(want ...string) {
		t.Helper()
		keys, err := h.MasterKeys(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range keys {
			s := fmt.Sprint(k.Kvno, " ", k.Enctype)
			if !k.From.IsZero() {
				s += fmt.Sprint(" ", k.From.Unix())
			}
			if k.Active {
				s += " *"
			}
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	const aes256, sha2 = "aes256-cts-hmac-sha1-96", "aes256-cts-hmac-sha384-192"
	list("1 " + aes256 + " 0 *")
	k2, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := h.AddMasterKey(h.ctx, k2)
	if err != nil || len(ring.Versions()) != 2 {
		t.Fatalf("%v, %v", ring, err)
	}
	list("2 "+sha2, "1 "+aes256+" 0 *")
	h.want("use 3", h.UseMasterKey(h.ctx, 3, time.Time{}), mkey.ErrVersion)
	h.want("use 1 later", h.UseMasterKey(h.ctx, 1, h.clock.Add(time.Hour)), mkey.ErrNoneActive)
	h.want("use 2 later", h.UseMasterKey(h.ctx, 2, h.clock.Add(time.Hour)), nil)
	list(fmt.Sprint("2 ", sha2, " ", startTime+3600), "1 "+aes256+" 0 *")
	if gone, err := h.PurgeMasterKeys(h.ctx, nil, false); err != nil || gone != nil {
		t.Errorf("purged %v, %v before its time", gone, err)
	}
	h.clock = h.clock.Add(2 * time.Hour)
	list(fmt.Sprint("2 ", sha2, " ", startTime+3600, " *"), "1 "+aes256+" 0")
	h.want("change", h.cpw("u", "pw-u2"), nil)
	if v, _ := h.get("u").MKVNO(); v != 2 {
		t.Errorf("sealed by %d after the activation", v)
	}
	got, err := h.Reencrypt(h.ctx, Reencryption{Pattern: "k*"})
	if want := (Reencrypted{Kvno: 2, Updated: 3}); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	h.want("pattern", func() error { _, err := h.Reencrypt(h.ctx, Reencryption{Pattern: "[z"}); return err }(), ErrPattern)
	if gone, err := h.PurgeMasterKeys(h.ctx, nil, false); err != nil || !slices.Equal(gone, []uint16{1}) {
		t.Errorf("purged %v, %v", gone, err)
	}
	list(fmt.Sprint("2 ", sha2, " ", startTime+3600, " *"))
	h.want("change after the purge", h.cpw("u", "pw-u3"), nil)
}
