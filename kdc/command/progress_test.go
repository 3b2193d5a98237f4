package command

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		n, total int
		after    time.Duration
		want     string
	}{
		{1000, 0, 2 * time.Second, "1000 records loaded, 500 a second"},
		{1000, 4000, 2 * time.Second, "1000 of 4000 records loaded, 500 a second, 6s left"},
		{0, 4000, 2 * time.Second, "0 records loaded, 0 a second"},
		{5000, 4000, 2 * time.Second, "5000 records loaded, 2500 a second"}, // somebody added some
	} {
		p := &progress{what: "loaded", n: c.n, total: c.total}
		if got := p.text(c.after); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.n, c.total, got, c.want)
		}
	}
}

func TestProgressByShare(t *testing.T) {
	for _, c := range []struct {
		share float64
		want  string
	}{
		{0, "1000 records loaded, 500 a second"},
		{0.25, "1000 records loaded, 500 a second, 25%, 6s left"},
		{1, "1000 records loaded, 500 a second, 100%, 0s left"},
	} {
		p := &progress{what: "loaded", n: 1000, share: func() float64 { return c.share }}
		if got := p.text(2 * time.Second); got != c.want {
			t.Errorf("%v: %q, want %q", c.share, got, c.want)
		}
	}
}

func TestCounter(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := newCounter(f)
	if _, err := io.ReadFull(c, make([]byte, 250)); err != nil || c.share() != 0.25 {
		t.Errorf("%v after a quarter, %v", c.share(), err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if c := newCounter(null); c.share() != 0 {
		t.Errorf("%v of no file", c.share())
	}
}

// TestProgressWithoutTerminal: a line every five seconds, and none for what takes less.
func TestProgressWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs bytes.Buffer
		u := &kdbUtil{console: newConsole(strings.NewReader(""), &bytes.Buffer{}, &errs)}
		p := u.progress("dumped")
		p.of(1000)
		for range 49 {
			<-time.After(100 * time.Millisecond) // of the bubble's clock
			p.step()
		}
		if errs.Len() > 0 {
			t.Errorf("too early: %q", errs.String())
		}
		for range 100 {
			<-time.After(100 * time.Millisecond)
			p.step()
		}
		p.end()
		want := "kdb5_util: 50 of 1000 records dumped, 10 a second, 1m35s left\n" +
			"kdb5_util: 100 of 1000 records dumped, 10 a second, 1m30s left\n"
		if errs.String() != want {
			t.Errorf("%q", errs.String())
		}
	})
}
