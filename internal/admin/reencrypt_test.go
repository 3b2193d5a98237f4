package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
	"krealm/kdc/kdb"
)

// crowd loads n entries with keys into a house, beside what it has, and makes version 2 of the
// master key the active one.
func (h *house) crowd(n int) {
	h.t.Helper()
	var buf bytes.Buffer
	w, err := dumpfmt.NewWriter(&buf, dumpfmt.Current)
	if err != nil {
		h.t.Fatal(err)
	}
	ring := h.ring()
	for i := range n {
		p := &dumpfmt.Principal{Name: full(fmt.Sprintf("user%05d", i))}
		p.SetModPrinc(startTime, actor)
		for kvno := range uint16(2) {
			k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES128SHA1)
			if err != nil {
				h.t.Fatal(err)
			}
			sealed, mkvno := ring.Seal(k, h.clock)
			p.Keys = append(p.Keys, dumpfmt.Key{Ver: 1, Kvno: 2 - kvno, Enctype: int16(k.Enctype()), Sealed: sealed})
			p.SetMKVNO(mkvno)
		}
		if err := w.Write(p); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.db.Load(h.ctx, &buf, kdb.LoadOptions{Update: true}); err != nil {
		h.t.Fatal(err)
	}
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.AddMasterKey(h.ctx, k)
	h.want("add", err, nil)
	h.want("use", h.UseMasterKey(h.ctx, 2, time.Time{}), nil)
}

// keysOf opens all keys of all entries; the text of a key stands for it.
func (h *house) keysOf() map[string]string {
	h.t.Helper()
	ring, m := h.ring(), make(map[string]string)
	for name, p := range h.entries() {
		for i := range p.Keys {
			k, err := ring.OpenKey(p, &p.Keys[i])
			if err != nil {
				h.t.Fatal(err)
			}
			m[name] += fmt.Sprintf("%d %x ", p.Keys[i].Kvno, k.Bytes())
		}
	}
	return m
}

func (h *house) sameKeys(want map[string]string) {
	h.t.Helper()
	got := h.keysOf()
	for name, keys := range want {
		if got[name] != keys {
			h.t.Errorf("keys of %s have changed", name)
		}
	}
}

// TestReencryptKilled (invariant M5) kills a process that seals 3000 entries anew, after a while
// each time, until one of them gets through.
func TestReencryptKilled(t *testing.T) {
	h := newHouse(t)
	h.crowd(3000)
	keys, total := h.keysOf(), len(h.entries())
	done, runs := 0, 0
	for wait := 300; done < total; wait += 500 {
		if runs++; runs > 20 {
			t.Fatal("does not get on")
		}
		lines := reencryptIn(t, h, wait)
		after := 0
		for name, p := range h.entries() {
			switch v, _ := p.MKVNO(); {
			case h.ring().SealedBy(p, 2):
				after++
			case v == 2:
				t.Fatalf("%s names version 2 and is not sealed by it", name)
			}
		}
		if after < done+lines {
			t.Errorf("run %d reported %d entries, %d were done before, %d are now of %d", runs, lines, done, after, total)
		}
		done = after
		h.sameKeys(keys)
		if err := h.db.VerifyDigest(h.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if runs < 2 {
		t.Error("never killed")
	}
	got, err := h.Reencrypt(h.ctx, Reencryption{})
	if err != nil || got.Updated != 0 || got.Current != total {
		t.Errorf("in the end: %+v, %v", got, err)
	}
}

// helperEnv makes this binary the process that is killed: it holds the database and the
// master key.
const helperEnv = "ADMIN_TEST_REENCRYPT"

// leash is how many entries the process may go on after the one at which it is killed.
const leash = 600

// reencryptIn runs a re-encryption in a process of its own and kills it when it has told of n
// entries. The process is somewhere in its work then, at most leash entries further. It returns
// of how many entries it told that it had updated them.
func reencryptIn(t *testing.T, h *house, n int) (updated int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(h.ctx, exe, "-test.run=^TestReencryptHelper$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %x", helperEnv, h.db.Path(), h.master.Bytes()))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(make([]byte, n+leash)); err != nil { // fits the pipe's buffer
		t.Fatal(err)
	}
	killed := false
	for sc := bufio.NewScanner(out); sc.Scan(); {
		if sc.Text() == "updated" {
			updated++
		}
		if updated >= n && !killed {
			killed = true
			_ = cmd.Process.Kill() // what it wrote until then is still read
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatal(err)
	}
	return updated
}

// TestReencryptHelper is the process of reencryptIn; by itself it does nothing.
func TestReencryptHelper(t *testing.T) {
	value := os.Getenv(helperEnv)
	if value == "" {
		return
	}
	var path string
	var key []byte
	if _, err := fmt.Sscanf(value, "%s %x", &path, &key); err != nil {
		t.Fatal(err)
	}
	a := openForHelper(t, path, key)
	var token [1]byte
	_, err := a.Reencrypt(t.Context(), Reencryption{Each: func(_ string, o Outcome) {
		if o != Updated {
			return
		}
		fmt.Println("updated")
		_, _ = os.Stdin.Read(token[:]) // at the end of the leash it waits for the kill
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func openForHelper(t *testing.T, path string, key []byte) *Admin {
	t.Helper()
	h := &house{t: t, ctx: t.Context(), clock: time.Unix(startTime+1, 0), conf: testConf()}
	var err error
	if h.db, err = kdb.Open(h.ctx, path, kdb.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.db.Close() })
	k, err := krbcrypto.NewKey(krbcrypto.ETypeAES256SHA1, key)
	if err != nil {
		t.Fatal(err)
	}
	return h.admin(firstStash(k))
}

// TestReencryptBesideWriters changes, removes and adds entries, and the active master key in the
// end, while they are sealed anew.
func TestReencryptBesideWriters(t *testing.T) {
	h := newHouse(t)
	h.want("create", h.create("zoe", "pw-zoe", Fields{}), nil)
	h.crowd(700)
	told := 0
	_, err := h.Reencrypt(h.ctx, Reencryption{batch: 200, Each: func(name string, _ Outcome) {
		if told++; told != 100 { // most of the page that was read is not written yet
			return
		}
		h.want("cpw", h.cpw("zoe", "pw-zoe-2"), nil)
		h.want("delete", h.DeletePrincipal(h.ctx, full("user00400")), nil)
		h.want("cpw", h.cpw("user00450", "pw-450"), nil)
		h.want("create", h.create("user00650a", "pw-late", Fields{}), nil)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range h.entries() {
		if !h.ring().SealedBy(p, 2) {
			t.Errorf("%s is not sealed by version 2", name)
		}
	}
	k, err := krbcrypto.RandomKey(krbcrypto.ETypeAES256SHA2)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.AddMasterKey(h.ctx, k)
	h.want("add", err, nil)
	h.want("use", h.UseMasterKey(h.ctx, 3, time.Time{}), nil)
	got, err := h.Reencrypt(h.ctx, Reencryption{batch: 200, Each: func(_ string, _ Outcome) {
		h.want("use the old one", h.UseMasterKey(h.ctx, 2, time.Time{}), nil)
	}})
	if !errors.Is(err, ErrActiveChanged) || got.Updated == 0 || got.Updated >= 700 {
		t.Errorf("%+v, %v, want a part and ErrActiveChanged", got, err)
	}
	if _, err := h.Reencrypt(h.ctx, Reencryption{Kvno: 3}); !errors.Is(err, ErrActiveChanged) {
		t.Errorf("with another version than the active one: %v", err)
	}
	if _, err := h.Reencrypt(h.ctx, Reencryption{}); err != nil { // however few were sealed by version 3
		t.Fatal(err)
	}
	h.want("use the new one", h.UseMasterKey(h.ctx, 3, time.Time{}), nil)
	ctx, cancel := context.WithCancel(h.ctx)
	got, err = h.Reencrypt(ctx, Reencryption{batch: 50, Each: func(string, Outcome) { cancel() }})
	if !errors.Is(err, context.Canceled) || got.Updated == 0 {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

// TestReencryptLost: a key that no version opens is passed over with its entry; all others are
// done.
func TestReencryptLost(t *testing.T) {
	h := newHouse(t)
	h.crowd(3)
	lost := h.get("user00001").Clone()
	lost.Keys[1].Sealed = bytes.Clone(lost.Keys[1].Sealed)
	lost.Keys[1].Sealed[20] ^= 1
	if _, err := h.db.Update(h.ctx, func(tx *kdb.Tx) error { return tx.PutPrincipal(lost) }); err != nil {
		t.Fatal(err)
	}
	for _, dryRun := range []bool{true, false} {
		var names []string
		got, err := h.Reencrypt(h.ctx, Reencryption{Pattern: "user*", DryRun: dryRun, Each: func(name string, o Outcome) {
			if o == Lost {
				names = append(names, name)
			}
		}})
		if want := (Reencrypted{Kvno: 2, Updated: 2, Lost: 1}); err != nil || got != want || len(names) != 1 || names[0] != lost.Name {
			t.Errorf("%+v, %v, lost %q", got, err, names)
		}
	}
	if got, want := plainLine(t, h.get("user00001")), plainLine(t, lost); got != want {
		t.Errorf("the entry changed: %s", got)
	}
}
