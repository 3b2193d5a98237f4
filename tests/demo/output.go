package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"krealm/tests/testrealm"
)

// output lays out what the demo prints: numbered steps, one fact a line, the measured figure at
// the right.
type output struct{ w io.Writer }

// result is one row of the final table.
type result struct {
	what, got string
	ok        bool
}

func (o output) step(n int, title string) {
	fmt.Fprintf(o.w, "\n%d  %s\n", n, title)
}

func (o output) fact(label, format string, args ...any) {
	fmt.Fprintf(o.w, "   %-34s %s\n", label, fmt.Sprintf(format, args...))
}

func (o output) note(format string, args ...any) {
	fmt.Fprintf(o.w, "   %s\n", fmt.Sprintf(format, args...))
}

// columns prints one row of a small table inside a step.
func (o output) columns(first string, rest ...string) {
	fmt.Fprintf(o.w, "   %-50s", first)
	for _, r := range rest {
		fmt.Fprintf(o.w, " %9s", r)
	}
	fmt.Fprintln(o.w)
}

func (o output) table(results []result, took time.Duration) {
	widest := len("what")
	for _, r := range results {
		widest = max(widest, len(r.what))
	}
	line := strings.Repeat("-", widest+60)
	fmt.Fprintf(o.w, "\n%s\n", line)
	for _, r := range results {
		verdict := "ok"
		if !r.ok {
			verdict = "FAILED"
		}
		fmt.Fprintf(o.w, "%-*s  %-6s  %s\n", widest, r.what, verdict, r.got)
	}
	fmt.Fprintf(o.w, "%s\ntook %.1f s\n", line, took.Seconds())
}

// usage says how to play with the realm while it runs.
func (o output) usage(d *demo) {
	m, s := d.realm.Master, d.realm.Slaves[0]
	fmt.Fprintf(o.w, `
The realm keeps running until Ctrl-C. In another terminal:

   export KRB5_CONFIG=%s KRB5_KDC_PROFILE=%s
   %s/kdc kadmin.local -q 'cpw -pw another-Word-9 %s'     # on the master

   export KRB5_CONFIG=%s KRB5CCNAME=FILE:%s/my-ccache
   kinit %s && kvno host/h01.example.org && klist     # from slave1's KDC

   %s/krep status -control %s
   ls %s/*/log        # what each process wrote
`, m.KRB5Conf, m.KDCConf, d.realm.Bin, d.user, s.KRB5Conf, s.Dir, d.user, d.realm.Bin, m.Control, d.realm.Dir)
}

// delay is ms for what a Watch has seen: it cannot tell less than its resolution.
func delay(d time.Duration) string {
	if d < testrealm.Resolution {
		return "<" + ms(testrealm.Resolution)
	}
	return ms(d)
}

// ms prints a duration in milliseconds with one digit.
func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
