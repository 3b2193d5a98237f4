package command

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/krep/sender"
	"krealm/krep/slavelist"
)

// pausing is a krep that can do no more than pause two slaves.
func pausing(t *testing.T) (k *krep, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "delta.paused")
	p, err := loadPaused(path)
	if err != nil {
		t.Fatal(err)
	}
	k = &krep{paused: p, log: zerolog.Nop(), set: sender.NewSet(sender.Options{Log: zerolog.Nop(), Feed: fakeFeed{}, Paused: p.has})}
	list, err := slavelist.Parse(strings.NewReader("kdc2.example.org\nkdc3.example.org\n"), slavelist.Defaults{Realm: "EXAMPLE.ORG", Port: DefaultPort})
	if err != nil {
		t.Fatal(err)
	}
	k.set.Update(list)
	return k, path
}

// TestResumeWithoutRoom: a disk that is full, of changes that are kept for the paused slaves, is no reason
// not to feed one of them.
func TestResumeWithoutRoom(t *testing.T) {
	k, path := pausing(t)
	for _, name := range []string{"kdc2.example.org", "kdc3.example.org"} {
		if err := k.pause(name, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil { // nothing can be written
		t.Fatal(err)
	}
	err := k.pause("kdc2.example.org", false)
	if err == nil || !strings.Contains(err.Error(), "is fed again") || !strings.Contains(err.Error(), path) {
		t.Errorf("the administrator hears: %v", err)
	}
	st := k.set.Status()
	if st[0].Paused || !st[1].Paused || k.paused.has("kdc2.example.org") || !k.paused.has("kdc3.example.org") {
		t.Errorf("after resuming the first: %+v", st)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	if err := k.pause("kdc2.example.org", false); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "kdc3.example.org\n" {
		t.Errorf("the list on the disk, with room again: %q, %v", b, err)
	}
}

// slowLog takes its time for what is said of a pause, and tells when it has begun.
type slowLog chan struct{}

func (l slowLog) Write(b []byte) (int, error) {
	if strings.Contains(string(b), `"paused":true`) {
		close(l)
		<-time.After(50 * time.Millisecond)
	}
	return len(b), nil
}

// TestPauseAndResume: of two administrators at once one is the last, in the file and for the slave.
func TestPauseAndResume(t *testing.T) {
	k, _ := pausing(t)
	begun := make(slowLog)
	k.log = zerolog.New(begun)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := k.pause("kdc2.example.org", true); err != nil {
			t.Error(err)
		}
	})
	<-begun
	if err := k.pause("kdc2.example.org", false); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if st := k.set.Status()[0]; st.Paused || k.paused.has(st.Name) {
		t.Errorf("resumed last: paused %v, the list says %v", st.Paused, k.paused.has(st.Name))
	}
}
