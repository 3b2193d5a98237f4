package getdate

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ours are the rows of the fixture where we say something else than MIT, and why.
var ours = map[string]string{
	"12am 2030-01-02": "midnight, not noon",
	"12pm 2030-01-02": "noon, not the next midnight",
	"2106-02-07":      "MIT's leap years go wrong from 2100 on",
	"2106-02-08":      "past the last moment of 32 bits",
	"2100-01-01 gmt":  "MIT's leap years go wrong from 2100 on",
	"2101-01-01 gmt":  "MIT's leap years go wrong from 2100 on",
}

// TestAgainstMIT repeats what MIT 1.20.1 was asked in three time zones.
func TestAgainstMIT(t *testing.T) {
	data, err := os.ReadFile("testdata/mit-1.20.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if strings.HasPrefix(line, "#") || len(f) != 4 {
			continue
		}
		rows++
		loc, err := time.LoadLocation(f[0])
		if err != nil {
			t.Fatal(err)
		}
		now, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := "ERROR"
		if when, err := Parse(f[2], time.Unix(now, 0).In(loc)); err == nil {
			got = fmt.Sprint(when)
		}
		if _, differs := ours[f[2]]; (got == f[3]) == differs {
			t.Errorf("%s %q: got %s, MIT %s", f[0], f[2], got, f[3])
		}
	}
	if rows < 300 {
		t.Errorf("only %d rows in the fixture", rows)
	}
}

func TestOurs(t *testing.T) {
	now := time.Date(2026, 11, 21, 22, 53, 29, 0, time.UTC)
	for in, want := range map[string]time.Time{
		"12am 2030-01-02":         time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC),
		"12pm 2030-01-02":         time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC),
		"12:30 AM jan 2, 2030":    time.Date(2030, 1, 2, 0, 30, 0, 0, time.UTC),
		"2106-02-07 06:28:15":     time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC),
		"2100-03-01":              time.Date(2100, 3, 1, 0, 0, 0, 0, time.UTC),
		"2 jan 2030 10:00 c.e.t.": time.Date(2030, 1, 2, 9, 0, 0, 0, time.UTC),
		"NEXT Monday":             time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC),
	} {
		got, err := Parse(in, now)
		if err != nil || int64(got) != want.Unix() {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want.Unix())
		}
	}
	for _, in := range []string{
		"2106-02-07 06:28:16", "2100-02-29", "31 jan 1 month", "25:00", "10:60", "13 pm", "0 am", "10:00 11:00",
		"monday tuesday", "gmt est", "jan", "1/", "10:", "2030-01", "99999999999 days", "2000000000 years", "-5", "1/2/",
		"999999999 monday", "ago",
	} {
		if got, err := Parse(in, now); err == nil {
			t.Errorf("%q: %d, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"jan 2, 2030 10:00 est dst", "3 day ago 4 weeks", "(x(y)) next monday", "2030-01-02 1pm", "1-jan-99"} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 21, 22, 53, 29, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		when, err := Parse(s, now)
		if err != nil {
			return
		}
		iso := time.Unix(int64(when), 0).UTC().Format("2006-01-02 15:04:05")
		if again, err := Parse(iso, now); err != nil || again != when {
			t.Fatalf("%q is %d, %s, which is %d, %v", s, when, iso, again, err)
		}
	})
}
