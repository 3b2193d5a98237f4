package kdb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// spoil writes over a part of a file, in place.
func spoil(t *testing.T, name string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte(strings.Repeat("\xa5", int(to-from))), from)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// damages are what may become of a file.
var damages = map[string]func(t *testing.T, path string){
	"head":     func(t *testing.T, path string) { spoil(t, path, 0, 100) },
	"schema":   func(t *testing.T, path string) { spoil(t, path, 100, 4096) },
	"pages":    func(t *testing.T, path string) { spoil(t, path, 5*4096, 25*4096) },
	"cut":      func(t *testing.T, path string) { must(t, os.Truncate(path, 9*4096+77)) },
	"empty":    func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
	"zeros":    func(t *testing.T, path string) { must(t, os.Truncate(path, 0)); must(t, os.Truncate(path, 1<<16)) },
	"a -wal":   func(t *testing.T, path string) { spoil(t, path, 5*4096, 25*4096); spoil(t, path+"-wal", 0, 9000) },
	"no -wal":  func(t *testing.T, path string) { spoil(t, path, 0, 100); must(t, os.Remove(path+"-wal")) },
	"and -shm": func(t *testing.T, path string) { spoil(t, path, 0, 100); spoil(t, path+"-shm", 0, 32768) },
}

func bytesOf(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// abandoned leaves the files of a slave's database as a power cut does, -wal and -shm with them.
func abandoned(t *testing.T, vouched bool) string {
	t.Helper()
	_, slave := pair(t)
	if vouched {
		must(t, slave.Vouch(t.Context()))
		must(t, slave.Vouch(t.Context())) // as each start does
	}
	must(t, slave.Harden(t.Context()))
	for _, suffix := range []string{"-wal", "-shm"} {
		b, err := os.ReadFile(slave.path + suffix)
		must(t, err)
		must(t, os.WriteFile(slave.path+suffix+".kept", b, 0o600))
	}
	closeDB(t, slave)
	for _, suffix := range []string{"-wal", "-shm"} {
		must(t, os.Rename(slave.path+suffix+".kept", slave.path+suffix))
	}
	return slave.path
}

// A damaged file of a replica is set aside, and an empty database may take its place; the next one is not
// vouched for by what was noted of the last.
func TestSetAside(t *testing.T) {
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			path := abandoned(t, true)
			damage(t, path)
			was := bytesOf(t, path)
			if err := Expendable(t.Context(), path, testRealm); err != nil {
				t.Fatal(err)
			}
			kept, err := SetAside(t.Context(), path, testRealm)
			must(t, err)
			if bytesOf(t, kept) != was {
				t.Error("what is kept is not what was there")
			}
			if fi, err := os.Stat(kept); err != nil || fi.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", fi, err)
			}
			db, err := InitSlave(t.Context(), path, testRealm, Options{})
			must(t, err)
			verify(t, db)
			closeDB(t, db)
			for _, suffix := range []string{"-wal", "-shm"} { // for those damages that want them
				must(t, os.WriteFile(path+suffix, nil, 0o600))
			}
			damage(t, path)
			if _, err := SetAside(t.Context(), path, testRealm); err == nil {
				t.Error("set aside again, which nobody has vouched for")
			}
		})
	}
}

// Whoever is killed while it sets a file aside leaves none, or the damaged one: a new database begins empty,
// with nothing of the old -wal, and nobody vouches for it yet.
func TestSetAsideKilled(t *testing.T) {
	for _, at := range []string{"aside", "aside with its -wal"} {
		t.Run(at, func(t *testing.T) {
			_, slave := pair(t)
			must(t, slave.Vouch(t.Context()))
			_, err := slave.write(t.Context(), func(c *conn, _ *state) error { return c.exec("UPDATE state SET id = 1") })
			must(t, err)
			wal := bytesOf(t, slave.path+"-wal")
			if wal == "" {
				t.Fatal("an empty -wal shows nothing")
			}
			closeDB(t, slave)
			path := slave.path
			must(t, os.WriteFile(path+"-wal", []byte(wal), 0o600))
			spoil(t, path, 0, 100)
			was := failpoint
			failpoint = func(name string) {
				if name == at {
					panic(name)
				}
			}
			func() {
				defer func() { _, failpoint = recover(), was }()
				_, _ = SetAside(t.Context(), path, testRealm)
				t.Error("not killed")
			}()
			if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrNoDatabase) {
				t.Fatal(err)
			}
			db, err := InitSlave(t.Context(), path, testRealm, Options{})
			must(t, err)
			if st := stateOf(t, db); !st.IsZero() {
				t.Errorf("begins at %v", st)
			}
			verify(t, db)
			closeDB(t, db)
			if n := names(t, path); !strings.Contains(n, ".damaged") {
				t.Errorf("what is left: %s", n)
			}
			spoil(t, path, 0, 100)
			if err := Expendable(t.Context(), path, testRealm); !errors.Is(err, ErrNotExpendable) {
				t.Error(err)
			}
		})
	}
}

// What is not damaged, or not known for a replica of the realm, is left alone.
func TestNotSetAside(t *testing.T) {
	for what, c := range map[string]struct {
		vouched bool
		change  func(t *testing.T, path string)
		want    error
	}{
		"sound":         {true, func(*testing.T, string) {}, ErrSound},
		"nobody knows":  {false, damages["head"], ErrNotExpendable},
		"nothing there": {true, func(t *testing.T, path string) { must(t, os.Remove(path)) }, ErrNoDatabase},
		"a directory": {true, func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o700))
		}, ErrForeign},
		"loose": {true, func(t *testing.T, path string) {
			spoil(t, path, 0, 100)
			must(t, os.Chmod(path, 0o640))
		}, ErrLoose},
		"another file": {true, func(t *testing.T, path string) {
			must(t, os.Rename(path, path+".old"))
			must(t, os.WriteFile(path, []byte("a text of somebody else's\n"), 0o600))
		}, ErrNotExpendable},
		"another application's": {true, func(t *testing.T, path string) {
			c, err := openConn(path)
			must(t, err)
			must(t, c.script("PRAGMA application_id = 7"))
			must(t, c.close())
		}, ErrForeign},
		"another schema": {true, func(t *testing.T, path string) {
			c, err := openConn(path)
			must(t, err)
			must(t, c.script("PRAGMA user_version = 99"))
			must(t, c.close())
		}, ErrVersion},
		"a link": {true, func(t *testing.T, path string) {
			spoil(t, path, 0, 100)
			must(t, os.Rename(path, path+".real"))
			must(t, os.Symlink(path+".real", path))
		}, ErrNotExpendable},
		"a master's by now": {true, func(t *testing.T, path string) {
			db, err := Open(t.Context(), path, Options{})
			must(t, err)
			_, err = db.NewEpoch(t.Context())
			must(t, err)
			closeDB(t, db)
			spoil(t, path, 0, 100)
		}, ErrNotExpendable},
		"a master's in its place": {true, func(t *testing.T, path string) {
			m := newMaster(t, Options{})
			closeDB(t, m)
			must(t, os.Remove(path+"-wal"))
			must(t, os.Remove(path+"-shm"))
			must(t, os.WriteFile(path, []byte(bytesOf(t, m.path)), 0o600)) // the same inode
			db, err := Open(t.Context(), path, Options{})
			must(t, err)
			closeDB(t, db)
			spoil(t, path, 0, 100)
		}, ErrNotExpendable},
	} {
		t.Run(what, func(t *testing.T) {
			path := abandoned(t, c.vouched)
			c.change(t, path)
			before := names(t, path)
			if err := Expendable(t.Context(), path, testRealm); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if _, err := SetAside(t.Context(), path, testRealm); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if after := names(t, path); after != before {
				t.Errorf("%s, before %s", after, before)
			}
		})
	}
	t.Run("another realm's", func(t *testing.T) {
		path := abandoned(t, true)
		spoil(t, path, 0, 100)
		if _, err := SetAside(t.Context(), path, "OTHER.ORG"); !errors.Is(err, ErrNotExpendable) {
			t.Error(err)
		}
	})
}

// names lists the damaged ones of a database, and itself.
func names(t *testing.T, path string) string {
	t.Helper()
	list, err := filepath.Glob(path + "*")
	must(t, err)
	var out []string
	for _, n := range list {
		if n == path || strings.Contains(n, ".damaged") {
			out = append(out, filepath.Base(n))
		}
	}
	return strings.Join(out, " ")
}

// Nor is one without room for another: the slave would be without any, and krepd could not so much as say so.
func TestNotSetAsideOnAFullDisk(t *testing.T) {
	path := abandoned(t, true)
	spoil(t, path, 0, 100)
	was := trouble
	trouble = func(string) error { return ErrFull }
	kept, err := SetAside(t.Context(), path, testRealm)
	trouble = was
	if !errors.Is(err, ErrNotExpendable) || !errors.Is(err, ErrFull) {
		t.Errorf("%q, %v", kept, err)
	}
	if _, err := SetAside(t.Context(), path, testRealm); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// A disk that damages one after the other is not filled.
func TestSetAsideEnds(t *testing.T) {
	path := abandoned(t, true)
	for range maxAside {
		spoil(t, path, 0, 100)
		_, err := SetAside(t.Context(), path, testRealm)
		must(t, err)
		db, err := InitSlave(t.Context(), path, testRealm, Options{})
		must(t, err)
		must(t, db.Vouch(t.Context()))
		closeDB(t, db)
	}
	spoil(t, path, 0, 100)
	if _, err := SetAside(t.Context(), path, testRealm); !errors.Is(err, ErrNotExpendable) {
		t.Error(err)
	}
}

// Nobody vouches for a master's database, and what was noted is gone before it is one.
func TestVouch(t *testing.T) {
	m := newMaster(t, Options{})
	if err := m.Vouch(t.Context()); !errors.Is(err, ErrMaster) {
		t.Error(err)
	}
	s := newSlave(t, Options{})
	must(t, s.Vouch(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Vouch(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if fi, err := os.Stat(s.path + replicaSuffix); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(fi, err)
	}
	must(t, Remove(s.path))
	if _, err := os.Stat(s.path + replicaSuffix); err == nil {
		t.Error("a note of nothing is left")
	}
}

// Nor for one that is being made a master's at that moment.
func TestVouchBesideAPromotion(t *testing.T) {
	_, s := pair(t)
	var vouched chan error
	was := failpoint
	failpoint = func(name string) {
		if name == "commit" && vouched == nil { // the note that there may have been is gone
			vouched = make(chan error, 1)
			other, err := Open(t.Context(), s.path, Options{}) // krepd's
			if err != nil {
				t.Error(err)
				return
			}
			go func() { vouched <- errors.Join(other.Vouch(context.Background()), other.Close()) }()
			select {
			case err := <-vouched:
				vouched <- err
			case <-time.After(moment):
			}
		}
	}
	_, err := s.NewEpoch(t.Context())
	failpoint = was
	must(t, err)
	if err := <-vouched; !errors.Is(err, ErrMaster) {
		t.Errorf("vouched for: %v", err)
	}
	if _, err := os.Stat(s.path + replicaSuffix); err == nil {
		t.Error("a master's database is noted as a replica's")
	}
}

// A view that has lost its connection does not show what has taken the place of its file meanwhile: an empty
// database that waits for a full copy, say, of which a KDC would say that nobody is in it.
func TestViewOfAReplacedFile(t *testing.T) {
	db := newMaster(t, Options{})
	put(t, db, princ("alice", 1))
	v, err := OpenView(t.Context(), db)
	must(t, err)
	defer func() { must(t, v.Close()) }()
	must(t, v.drop()) // as after an error
	must(t, os.Rename(db.path, db.path+".aside"))
	if err := v.Refresh(t.Context()); err == nil || errors.Is(err, ErrReplaced) {
		t.Errorf("nothing is there: %v", err)
	}
	other, err := InitSlave(t.Context(), db.path, testRealm, Options{})
	must(t, err)
	defer closeDB(t, other)
	if err := v.Refresh(t.Context()); !errors.Is(err, ErrReplaced) {
		t.Error(err)
	}
	if _, ok := v.Principal("alice@" + testRealm); !ok {
		t.Error("what was read is gone")
	}
}
