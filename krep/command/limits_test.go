package command

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1": 1, "1 GiB": 1 << 30, "512MiB": 512 << 20, " 3 KiB ": 3 << 10, "2TiB": 2 << 40, "100 B": 100} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1GB", "1.5 GiB", "9999999999 TiB", "GiB", "1 GiB x"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestLimits(t *testing.T) {
	dir := host(t, section+"  delta_max_size = 10 MiB\n  delta_max_age = 7d\n  connect_listen = 127.0.0.1:7799 7798\n")
	f := newFlags("krep", io.Discard, true)
	if err := f.Parse([]string{"-max-age", "12h"}); err != nil {
		t.Fatal(err)
	}
	s, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	if s.maxSize != 10<<20 || s.maxAge != 12*time.Hour || strings.Join(s.listen, " ") != "127.0.0.1:7799 :7798" {
		t.Errorf("%+v", s.limits)
	}
	_, out, _ := run("-check")
	if want := "delta_max_size = 10 MiB # " + dir + "/kdc.conf:"; !strings.Contains(strings.Join(strings.Fields(out), " "), want) {
		t.Errorf("lacks %q:\n%s", want, out)
	}
	for _, args := range [][]string{{"-max-size", "much"}, {"-max-age", "ever"}, {"-max-age", "-5"}, {"-listen", "a:b:c"}} {
		if code, _, errs := run(append(args, "-check")...); code != 1 || !strings.Contains(errs, args[1]) {
			t.Errorf("%v: %d, %s", args, code, errs)
		}
	}
}
