package command

import (
	"bytes"
	"strings"
	"testing"
)

// TestStatusOfCommandSource: nobody is left to believe that the slaves' content is compared.
func TestStatusOfCommandSource(t *testing.T) {
	for _, c := range []struct {
		settings settings
		says     bool
	}{{settings{snapshotCmd: "kdb5_util dump"}, true}, {settings{}, false}} {
		var out bytes.Buffer
		if err := printStatus(&out, status{Source: c.settings.sourceName()}); err != nil {
			t.Fatal(err)
		}
		if says := strings.Contains(out.String(), "is not compared"); says != c.says {
			t.Errorf("%q: %s", c.settings.snapshotCmd, &out)
		}
	}
}
