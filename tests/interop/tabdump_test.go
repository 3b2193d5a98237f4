package interop

import (
	"strings"
	"testing"
)

// TestTabdump: every table of the fixture's realm, with every option, is the one that the stock
// kdb5_util prints, byte for byte.
func TestTabdump(t *testing.T) {
	ctx, r, f := newLoadedRealm(t)
	stock(ctx, t, r.Master, "kdb5_util", "load", f.Dump)
	for _, table := range []string{"keydata", "keyinfo", "princ_flags", "princ_lockout", "princ_meta", "princ_stringattrs", "princ_tktpolicy"} {
		for _, options := range []string{"", "-H", "-c", "-e", "-n", "-cen"} {
			args := []string{"tabdump", table}
			if options != "" {
				args = []string{"tabdump", options, table}
			}
			result, err := ours(ctx, r.Master, "kdb5_util", args...)
			identical(t, strings.Join(args, " "), []byte(succeeds(t, result, err)), []byte(stock(ctx, t, r.Master, "kdb5_util", args...)))
		}
	}
}
