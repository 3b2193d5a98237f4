package scenario

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/deltafile"
	"krealm/internal/stream/streamtest"
	"krealm/kdc/kdb"
)

// process is a slave in a process of its own.
type process struct {
	t     *testing.T
	s     *slave
	cmd   *exec.Cmd
	stdin io.Closer
	log   *bytes.Buffer
}

func newProcess(t *testing.T, realm *streamtest.Realm) *process {
	return &process{t: t, s: newSlave(t, realm, "child"), log: new(bytes.Buffer)}
}

// start starts the slave and waits until it listens.
func (p *process) start() {
	p.t.Helper()
	p.s.release()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(exe)
	p.cmd.Env = append(os.Environ(), childEnv+"="+p.s.dir, "SCENARIO_ADDR="+p.s.addr,
		"SCENARIO_KEY="+hex.EncodeToString(p.s.realm.Key(p.s.id).Bytes()))
	p.cmd.Stderr = p.log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		p.t.Fatalf("slave did not start: %q, %v\n%s", line, err, p.log)
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// end stops the slave in order and opens its database.
func (p *process) end() {
	p.t.Helper()
	_ = p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("%v\n%s", err, p.log)
	}
	db, err := kdb.Open(p.t.Context(), filepath.Join(p.s.dir, "db.sqlite"), kdb.Options{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = db.Close() })
	p.s.db = db
}

func (p *process) reaches(m *master, st deltafile.State) {
	p.t.Helper()
	until(p.t, "the slave has applied "+st.String(), func() bool {
		got := m.status(p.s)
		return got.Epoch == st.Epoch.String() && got.Applied == st.Serial && got.State == "streaming"
	})
}

// What a slave has acknowledged it still has after kill -9, at whatever moment that comes.
func TestKillInTheStream(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, p := newMaster(t, realm), newProcess(t, realm)
	m.listed(p.s)
	p.start()
	m.start()
	m.add(1)
	for range 12 {
		p.reaches(m, m.add(1))
		pause := time.NewTimer(time.Duration(rand.IntN(15_000)) * time.Microsecond)
	changes:
		for {
			select {
			case <-pause.C:
				break changes
			default:
				m.add(3)
			}
		}
		p.kill()
		acked := m.status(p.s).Spooled
		p.start()
		m.add(1)
		until(t, "krep is back", func() bool { return m.status(p.s).State == "streaming" })
		if n := m.status(p.s).Spooled; n < acked {
			t.Fatalf("the slave had acknowledged %d and has %d", acked, n)
		}
	}
	p.reaches(m, m.add(1))
	if n := m.copies.Load(); n != 1 {
		t.Errorf("%d full copies, want the first only", n)
	}
	p.end()
	equal(m, p.s)
}

// Kill -9 while a full copy is received, verified or loaded: the database is as before, or as
// after.
func TestKillInTheCopy(t *testing.T) {
	realm := streamtest.NewRealm(realmName)
	m, p := newMaster(t, realm), newProcess(t, realm)
	var dump strings.Builder
	dump.WriteString("kdb5_util load_dump version 7\n")
	line := string(bytes.SplitAfterN(dumpOfOne(t), []byte("\n"), 3)[1])
	for i := range 20000 {
		name := "person" + strings.Repeat("x", i%5) + string(rune('a'+i%26)) + hex.EncodeToString([]byte{byte(i >> 8), byte(i)})
		dump.WriteString(renamed(line, name))
	}
	if _, err := m.db.Load(t.Context(), strings.NewReader(dump.String()), kdb.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	m.listed(p.s)
	m.start()
	p.start()
	p.reaches(m, m.add(1))
	name := m.status(p.s).Name
	for i := range 6 {
		until(t, "the copy before is known to be loaded", func() bool { return m.status(p.s).State == "streaming" })
		if err := m.set.Resync(name); err != nil {
			t.Fatal(err)
		}
		until(t, "the copy is under way", func() bool { return m.status(p.s).State == "full" })
		pause := time.NewTimer(time.Duration(rand.IntN(40*(i+1))) * time.Millisecond)
		<-pause.C
		p.kill()
		p.start()
		p.reaches(m, m.add(1))
	}
	p.end()
	equal(m, p.s)
}

// dumpOfOne is a dump with one principal.
func dumpOfOne(t *testing.T) []byte {
	t.Helper()
	m := newMaster(t, streamtest.NewRealm(realmName))
	m.add(1)
	return dump(t, m.db)
}

// renamed gives a line of a dump another name.
func renamed(line, name string) string {
	f := strings.Split(line, "\t")
	f[6] = name + "@" + realmName
	f[2] = itoa(len(f[6]))
	return strings.Join(f, "\t")
}

func itoa(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }
