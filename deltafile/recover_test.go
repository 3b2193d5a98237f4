package deltafile

import (
	"errors"
	"testing"
)

// TestRecoverWritesAnew: what Recover returns is durable though no sync of the file itself can be
// relied on, which is the state that a failed fsync of an earlier process leaves.
func TestRecoverWritesAnew(t *testing.T) {
	ctx, m := t.Context(), newMemFS()
	css := testChain(t, testBase(), 5)
	a := openMem(t, m)
	if err := a.Reset(ctx, testBase()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendRaw(ctx, css); err != nil {
		t.Fatal(err)
	}
	old, err := m.Stat("/d/delta")
	if err != nil {
		t.Fatal(err)
	}
	b := openMem(t, m)
	s, damage, err := b.Recover(ctx)
	if err != nil || damage != nil || s.Serial != 5 {
		t.Fatal(s, damage, err)
	}
	if now, err := m.Stat("/d/delta"); err != nil || now.Ino == old.Ino {
		t.Errorf("still file %d, %v", now.Ino, err)
	}
	for _, data := range []string{"lost", "half", "zeros"} {
		if _, got, err := m.after(data, "lost").report(t, "/d/delta"); err != nil || len(got) != 5 {
			t.Errorf("%s: a power cut leaves %d changesets, %v", data, len(got), err)
		}
	}
	if names := m.list(); len(names) != 1 {
		t.Errorf("files left: %q", names)
	}
}

// TestFailed: an Appender tells that it has come to its end, and the next one goes on.
func TestFailed(t *testing.T) {
	ctx, m := t.Context(), newMemFS()
	css := testChain(t, testBase(), 4)
	a := openMem(t, m)
	if err := a.Reset(ctx, testBase()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendRaw(ctx, css[:2]); err != nil {
		t.Fatal(err)
	}
	if err := a.Failed(); err != nil {
		t.Error("before:", err)
	}
	m.fault = func(int) faultKind {
		if m.log[len(m.log)-1] == "fsync" {
			return failIt
		}
		return noFault
	}
	if err := a.Sync(); !errors.Is(err, errInjected) || !errors.Is(a.Failed(), errInjected) {
		t.Error(err, a.Failed())
	}
	m.fault = nil
	b := openMem(t, m)
	s, _, err := b.Recover(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = b.AppendRaw(ctx, css[s.Serial:]); err != nil || s.Serial != 4 || b.Failed() != nil {
		t.Error(s, err, b.Failed())
	}
}

// TestFailedSyncOfAnOutbox: one writer appends, another syncs that and may forget it, then the
// first one's own sync fails. The file must not become shorter than what the second has counted.
func TestFailedSyncOfAnOutbox(t *testing.T) {
	m, o := newMemFS(), newOutbox(testBase())
	a, b := openMem(t, m), openMem(t, m)
	o.commit(t, 1)
	mustAppend(t, a, o, o.base)
	o.commit(t, 3)
	mustAppend(t, a, o, o.base)
	mustAppend(t, b, o, o.base) // finds it
	if err := b.Sync(); err != nil {
		t.Fatal(err)
	}
	m.fault = func(int) faultKind {
		if m.log[len(m.log)-1] == "fsync" {
			return failIt
		}
		return noFault
	}
	if err := a.Sync(); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	m.fault = nil
	wantFile(t, m, o.base, o)
}
