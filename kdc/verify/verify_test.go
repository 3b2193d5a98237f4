package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"krealm/kdc/mkey"
)

var at0 = time.Unix(1700000000, 0)

const (
	master  = "K/M@EXAMPLE.COM"
	history = "kadmin/history@EXAMPLE.COM"
	realms  = "../mkey/testdata/"
)

// check checks a dump with a stash file, "" for none, and returns what was found, in order of
// lines, and the counts.
func check(t *testing.T, dump []byte, stash string) ([]string, Summary) {
	t.Helper()
	o := Options{Master: master}
	if stash != "" {
		found, err := Find(bytes.NewReader(dump), master, history)
		if err != nil {
			t.Fatal(err)
		}
		st, err := mkey.ReadStashOf(stash, master)
		if err != nil {
			t.Fatal(err)
		}
		if o.Ring, err = mkey.Open(st, found[master]); err != nil {
			t.Fatal(err)
		}
		o.History = found[history]
	}
	var all []Finding
	o.Report = func(f Finding) { all = append(all, f) }
	sum, err := File(bytes.NewReader(dump), o)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Line - b.Line })
	var list []string
	for _, f := range all {
		list = append(list, fmt.Sprintf("%d %s %v: %s", f.Line, f.Name, f.Severity, f.Text))
	}
	if n := sum.Errors + sum.Warnings; n != len(list) {
		t.Errorf("%d findings, %d counted", len(list), n)
	}
	return list, sum
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type loaderCase struct {
	Title   string
	Header  string
	Body    string
	Results map[string]struct {
		RC     any `json:"rc"`
		Redump string
		DumpRC int `json:"dump_rc"`
	}
}

// harmed reports whether a build of MIT's loader refused the file, never ended, or made something
// else of it, now or in its next dump.
func (c *loaderCase) harmed() bool {
	for _, r := range c.Results {
		if r.RC != 0.0 || r.DumpRC != 0 || r.Redump != "same" {
			return true
		}
	}
	return false
}

// harmless are files that MIT prints back in another form with the same meaning.
var harmless = map[string]string{
	"\\\\ lead@EXAMPLE.COM":      "the guard is MIT's to leave out",
	"q\\\\qx@EXAMPLE.COM":        "a backslash that is not needed",
	"ascending kvno is sorted":   "the order of keys",
	"version 4, 7 fields":        "as version 7",
	"version 5, 7 fields":        "as version 7",
	"version 6, 10 fields":       "as version 7",
	"before principals":          "the order of records",
	"reference count 5":          "no longer kept",
	"two tl (db2 reverses them)": "the order of tagged data of policies",
}

// TestWhatMITChokesOn: whatever MIT's loader refuses, hangs on, loses or changes is found.
func TestWhatMITChokesOn(t *testing.T) {
	km := bytes.SplitAfter(readFile(t, realms+"basic/created-1.20.1.dump"), []byte("\n"))[1]
	for line := range bytes.Lines(readFile(t, "../../dumpfmt/testdata/cases.jsonl")) {
		var c loaderCase
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatal(err)
		}
		found := 0
		_, err := File(bytes.NewReader(slices.Concat(latin1(c.Header), km, latin1(c.Body))), Options{Master: master, Report: func(f Finding) {
			// No case has a modifier or a krbtgt.
			if !strings.Contains(f.Text, "who changed it last") && !strings.Contains(f.Text, "krbtgt") {
				found++
			}
		}})
		if c.harmed() && err == nil && found == 0 && harmless[c.Title] == "" {
			t.Errorf("nothing found in %q: %v\n%q", c.Title, c.Results, c.Body)
		}
	}
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}
