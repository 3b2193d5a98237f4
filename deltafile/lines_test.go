package deltafile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestAppendLines(t *testing.T) {
	m := newMemFS()
	a := openMem(t, m)
	now := time.Unix(1700000100, 0)
	if _, err := a.AppendLines(t.Context(), State{}, now, testLine(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no file and no state to begin one with: %v", err)
	}
	base := testBase()
	s, err := a.AppendLines(t.Context(), base, now)
	if err != nil || s != base {
		t.Fatalf("no lines: %v, %v", s, err)
	}
	if s, err = a.AppendLines(t.Context(), State{}, now, testLine(1), append(testLine(2), testLine(3)...)); err != nil || s.Serial != 2 {
		t.Fatalf("%v, %v", s, err)
	}
	other := Initial(base.Realm, testEpoch+1, now)
	if s, err = a.AppendLines(t.Context(), other, now, testLine(4)); err != nil || s.Serial != 3 || s.Epoch != testEpoch {
		t.Fatalf("a file that is there goes on: %v, %v", s, err)
	}
	if _, err := a.AppendLines(t.Context(), Initial("OTHER.ORG", testEpoch, now), now, testLine(5)); !errors.Is(err, ErrRealm) {
		t.Errorf("another realm: %v", err)
	}
	if _, err := a.AppendLines(t.Context(), State{}, now, testLine(5), []byte("frob\t1\n")); !errors.Is(err, ErrKind) {
		t.Errorf("unknown word: %v", err)
	}
	_, css, _, err := readBytes(m.get("/d/delta"))
	if err != nil || len(css) != 3 || css[1].NLines != 2 || !bytes.Equal(css[2].Lines, testLine(4)) {
		t.Errorf("%d changesets, %v", len(css), err)
	}
}

// TestAppendLinesRefusesDamage: nobody could supply again what a damaged end has lost.
func TestAppendLinesRefusesDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	image := fixture(t, "bad-hash.delta")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := OpenAppender(path, AppenderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.AppendLines(t.Context(), testBase(), time.Now(), testLine(1)); !errors.Is(err, ErrHash) {
		t.Errorf("%v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, image) {
		t.Errorf("the damaged file is not as it was: %v", err)
	}
}

// TestAppendLinesSyncFails: a change whose fsync has failed may be lost though the next fsync succeeds, and nothing could
// supply it again. So the file is written anew, and where that fails too it is said.
func TestAppendLinesSyncFails(t *testing.T) {
	m, now := newMemFS(), time.Unix(1700000100, 0)
	lines := func(n int) (State, error) {
		a, err := OpenAppender("/d/delta", AppenderOptions{FS: m, Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		return a.AppendLines(t.Context(), testBase(), now, testLine(n))
	}
	if _, err := lines(1); err != nil {
		t.Fatal(err)
	}
	sick := 1
	m.fault = func(int) faultKind {
		if m.log[len(m.log)-1] != "fsync" || sick == 0 {
			return noFault
		}
		sick--
		return failIt
	}
	if _, err := lines(2); !errors.Is(err, errInjected) || errors.Is(err, ErrUnsure) {
		t.Errorf("an fsync fails: %v", err)
	}
	for _, data := range []string{"lost", "zeros"} {
		if _, css, err := m.after(data, "lost").report(t, "/d/delta"); err != nil || len(css) != 2 {
			t.Errorf("%s: a power cut leaves %d changesets, %v", data, len(css), err)
		}
	}
	sick = 2
	if _, err := lines(3); !errors.Is(err, errInjected) || !errors.Is(err, ErrUnsure) {
		t.Errorf("all fsyncs fail: %v", err)
	}
	if s, err := lines(4); err != nil || s.Serial != 4 {
		t.Errorf("%v, %v", s, err)
	}
}

// TestAppendLinesTogether: writers that all find no file make one and share it.
func TestAppendLinesTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "delta")
	const writers, each = 6, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			a, err := OpenAppender(path, AppenderOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			want := Initial("EXAMPLE.COM", Epoch(w+1), time.Now())
			for i := range each {
				if _, err := a.AppendLines(t.Context(), want, time.Now(), testLine(w*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := 0
	r, err := Scan(path, func(base State, before int64, css []*Changeset) error {
		for _, cs := range css {
			seen++
			if raw := readAt(t, path, before, len(cs.Raw)); !bytes.Equal(raw, cs.Raw) {
				t.Errorf("changeset %d of epoch %s is not at %d", cs.Serial, base.Epoch, before)
			}
			before += int64(len(cs.Raw))
		}
		return nil
	})
	if err != nil || r.Changesets != writers*each || seen != r.Changesets || r.Torn() != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("files: %v, %v", names, err)
	}
	stop := errors.New("enough")
	if _, err := Scan(path, func(State, int64, []*Changeset) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an error of the callback: %v", err)
	}
}

func readAt(t *testing.T, path string, off int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	return b
}
