package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/tests/largerealm"
	"krealm/tests/testrealm"
)

// workbench is a host with realms of two sizes as dumps, under one master key.
type workbench struct {
	*testrealm.Host
	small, large         string // files
	smallDump, largeDump []byte // their content
}

func newWorkbench(ctx context.Context, t *testing.T, h *testrealm.Host, large int) *workbench {
	t.Helper()
	w := &workbench{Host: h, small: dumpFile(h, "small"), large: dumpFile(h, "large")}
	for _, v := range []struct {
		n    int
		file string
		text *[]byte
	}{{300, w.small, &w.smallDump}, {large, w.large, &w.largeDump}} {
		realm := must(largerealm.New(largerealm.Options{N: v.n, Realm: testrealm.RealmName}))(t)
		var b bytes.Buffer
		check(t, realm.WriteDump(ctx, &b))
		writeFile(t, v.file, b.Bytes())
		check(t, realm.WriteStash(h.Stash))
		*v.text = b.Bytes()
	}
	return w
}

// util runs our kdb5_util to its end; it must succeed.
func (w *workbench) util(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	result, err := ours(ctx, w.Host, "kdb5_util", args...)
	return succeeds(t, result, err)
}

// content is a dump of the database, which verify must have found whole.
func (w *workbench) content(ctx context.Context, t *testing.T) []byte {
	t.Helper()
	w.util(ctx, t, "verify")
	return must(w.Dump(ctx, "content"))(t)
}

// killed runs our kdb5_util and kills it after d, if it has not ended. It says whether it died.
func (w *workbench) killed(t *testing.T, d time.Duration, args ...string) bool {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "kdc"), append([]string{"kdb5_util", "-r", testrealm.RealmName}, args...)...)
	var stderr bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stderr = w.Env(), w.Host.Dir, &stderr
	check(t, cmd.Start())
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	return false
}

// kills is how often a command is killed.
const kills = 9

// atAnyMoment kills a command at times spread at random over how long it takes, plus a little. check
// is told after each run whether the command died, and puts back what was.
func (w *workbench) atAnyMoment(t *testing.T, check func(died bool), args ...string) {
	t.Helper()
	start := time.Now()
	if w.killed(t, testTimeout, args...) {
		t.Fatal("killed after minutes")
	}
	whole := time.Since(start)
	check(false)
	died := 0
	for i := range kills {
		part := (float64(i) + rand.Float64()) / kills
		dead := w.killed(t, time.Duration(1.1*part*float64(whole)), args...)
		if dead {
			died++
		}
		check(dead)
	}
	t.Logf("%s takes %v; died in %d of %d runs", args[0], whole.Round(time.Millisecond), died, kills)
	if died < kills/3 {
		t.Errorf("died only %d times", died)
	}
}

// oneOf says which of two states a database or file is in.
func oneOf(t *testing.T, what string, got, old, new []byte) (isNew bool) {
	t.Helper()
	switch {
	case bytes.Equal(got, new):
		return true
	case !bytes.Equal(got, old):
		t.Fatalf("%s: %d bytes that are neither the old state (%d) nor the new (%d)", what, len(got), len(old), len(new))
	}
	return false
}

// loads are the two kinds of load, of the large realm over the small one, with what comes of it.
func (w *workbench) loads(ctx context.Context, t *testing.T) map[string][]byte {
	t.Helper()
	w.util(ctx, t, "load", "-force", w.small)
	w.util(ctx, t, "load", "-update", w.large)
	merged := w.content(ctx, t)
	if len(merged) <= len(w.largeDump) {
		t.Fatal("the large realm holds all of the small one")
	}
	w.util(ctx, t, "load", "-force", w.small)
	return map[string][]byte{"-force": w.largeDump, "-update": merged}
}

// TestLoadKilled: killed at any moment, a full load and a merging one leave the old realm or the new.
func TestLoadKilled(t *testing.T) {
	t.Parallel()
	ctx, r := newRealm(t)
	w := newWorkbench(ctx, t, r.Master, 6000)
	for how, after := range w.loads(ctx, t) {
		w.atAnyMoment(t, func(died bool) {
			if isNew := oneOf(t, how, w.content(ctx, t), w.smallDump, after); !isNew && !died {
				t.Fatalf("load %s ended well, and the realm is the old one", how)
			}
			w.util(ctx, t, "load", "-force", w.small)
		}, "load", how, w.large)
	}
}

// TestDumpKilled: killed at any moment, a dump leaves the file of before or the new one, whole. The
// mark for kprop is complete only beside the new one.
func TestDumpKilled(t *testing.T) {
	t.Parallel()
	ctx, r := newRealm(t)
	w := newWorkbench(ctx, t, r.Master, 12000)
	w.util(ctx, t, "load", w.large)
	file := dumpFile(w.Host, "file")
	mark := file + ".dump_ok"
	w.atAnyMoment(t, func(died bool) {
		isNew := oneOf(t, "dump", readFile(t, file), w.smallDump, w.largeDump)
		marked := false
		if info, err := os.Stat(mark); err == nil {
			marked = info.Size() == 1
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if marked && !isNew || !died && !marked {
			t.Fatalf("died: %v, new file: %v, marked: %v", died, isNew, marked)
		}
		check(t, os.RemoveAll(mark))
		check(t, testrealm.CopyFile(file, w.small))
	}, "dump", file)
}

// rollOver makes version 2 of the master key active, and returns the dump from before anything is
// sealed with it.
func (w *workbench) rollOver(ctx context.Context, t *testing.T) (file string) {
	t.Helper()
	w.util(ctx, t, "load", "-force", w.large)
	result, err := w.Run(ctx, "k\nk\n", "kdc", "kdb5_util", "-r", testrealm.RealmName, "add_mkey", "-s")
	succeeds(t, result, err)
	w.util(ctx, t, "use_mkey", "2")
	file = dumpFile(w.Host, "rolled")
	w.util(ctx, t, "dump", file)
	return file
}

// goOn lets a re-encryption that was cut short come to its end. All keys open before and after. It
// returns how many entries were left to do.
func (w *workbench) goOn(ctx context.Context, t *testing.T) (left int) {
	t.Helper()
	w.util(ctx, t, "verify")
	out := w.util(ctx, t, "update_princ_encryption", "-f")
	if _, err := fmt.Sscanf(strings.SplitN(out, ": ", 2)[1], "%d updated", &left); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	w.util(ctx, t, "verify")
	return left
}

// TestUpdateEncryptionKilled: killed at any moment, each entry is sealed by the old master key or by the
// new one, and the next run goes on. In the end the stock program finds nothing left to do.
func TestUpdateEncryptionKilled(t *testing.T) {
	t.Parallel()
	ctx, r := newRealm(t)
	w := newWorkbench(ctx, t, r.Master, 3000)
	rolled := w.rollOver(ctx, t)
	resumed := 0
	w.atAnyMoment(t, func(died bool) {
		left := w.goOn(ctx, t)
		if !died && left != 0 {
			t.Fatalf("%d entries left by a run that ended well", left)
		}
		if left > 0 && left < 3000-1 {
			resumed++
		}
		w.util(ctx, t, "load", "-force", rolled)
	}, "update_princ_encryption", "-f")
	t.Logf("%d runs went on in the middle", resumed)
	w.goOn(ctx, t)

	dump := dumpFile(w.Host, "sealed")
	w.util(ctx, t, "dump", dump)
	h := must(r.AddHost("mit"))(t)
	check(t, testrealm.CopyFile(h.Stash, w.Stash))
	stock(ctx, t, h, "kdb5_util", "load", dump)
	if out := stock(ctx, t, h, "kdb5_util", "update_princ_encryption", "-n"); !strings.Contains(out, " 0 would be updated") {
		t.Errorf("the stock program would seal anew: %s", out)
	}
}

// limited runs our kdb5_util where no file may grow beyond a size in KiB.
func (w *workbench) limited(ctx context.Context, t *testing.T, size int, args ...string) testrealm.Result {
	t.Helper()
	args = append([]string{"-c", `ulimit -f "$0" && exec "$@"`, strconv.Itoa(2 * size), filepath.Join(bin, "kdc"), "kdb5_util", "-r", testrealm.RealmName}, args...)
	return must(w.Run(ctx, "", "sh", args...))(t)
}

// TestNoRoom: no room for a file, wherever that strikes, leaves what was before load and dump, or all of
// what they were to do; of a re-encryption, what has been done.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	ctx, r := newRealm(t)
	w := newWorkbench(ctx, t, r.Master, 3000)
	for how, after := range w.loads(ctx, t) {
		for size := 0; size <= 3200; size += 400 {
			result := w.limited(ctx, t, size, "load", how, w.large)
			isNew := oneOf(t, how, w.content(ctx, t), w.smallDump, after)
			if isNew != (result.Status == 0) {
				t.Fatalf("load %s in %d KiB: status %d, new content: %v\n%s", how, size, result.Status, isNew, result.Stderr)
			}
			t.Logf("load %s in %d KiB: done: %v %s", how, size, isNew, result.Stderr)
			w.util(ctx, t, "load", "-force", w.small)
		}
	}
	w.util(ctx, t, "load", "-force", w.large)
	file := dumpFile(w.Host, "file")
	for size := 0; size <= 1600; size += 400 {
		check(t, testrealm.CopyFile(file, w.small))
		result := w.limited(ctx, t, size, "dump", file)
		isNew := oneOf(t, "dump", readFile(t, file), w.smallDump, w.largeDump)
		left := must(filepath.Glob(file + "-*"))(t)
		if isNew != (result.Status == 0) || len(left) > 0 {
			t.Fatalf("dump in %d KiB: status %d, new file: %v, left: %v\n%s", size, result.Status, isNew, left, result.Stderr)
		}
	}
	rolled := w.rollOver(ctx, t)
	for size := 0; size <= 3200; size += 800 {
		result := w.limited(ctx, t, size, "update_princ_encryption", "-f")
		left := w.goOn(ctx, t)
		if (left == 0) != (result.Status == 0) {
			t.Fatalf("update_princ_encryption in %d KiB: status %d, %d left\n%s", size, result.Status, left, result.Stderr)
		}
		t.Logf("update_princ_encryption in %d KiB: %d left %s", size, left, result.Stderr)
		w.util(ctx, t, "load", "-force", rolled)
	}
}
