package sender

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"krealm/internal/wire"
	"krealm/krep/slavelist"
)

// TestAmbiguousName: a principal that several slaves share names none of them: the first of them is not
// paused or rebuilt in the place of the one that was meant.
func TestAmbiguousName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		list, err := slavelist.Parse(strings.NewReader("kdc2.example.org "+slaveID+"\nkdc2.example.org:7755 "+slaveID+"\n"), slavelist.Defaults{Realm: realmName, Port: 7754})
		if err != nil {
			t.Fatal(err)
		}
		b.set.Update(list)
		if err := b.set.Pause(slaveID, true); err == nil || !strings.Contains(err.Error(), "kdc2.example.org, kdc2.example.org:7755") {
			t.Errorf("by the principal of two: %v", err)
		}
		for _, st := range b.set.Status() {
			if st.Paused {
				t.Errorf("%+v", st)
			}
		}
		for asked, want := range map[string]string{"kdc2.example.org": "kdc2.example.org", "kdc2.example.org:7754": "kdc2.example.org",
			"kdc2.example.org:7755": "kdc2.example.org:7755"} {
			if got, err := b.set.Name(asked); got != want || err != nil {
				t.Errorf("%s is %q, %v", asked, got, err)
			}
		}
	})
}

// TestInspectSaysWhy: who asks a slave that is paused hears that, not a name of the inside.
func TestInspectSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, follower(baseOf), nil)
		b.run()
		synctest.Wait()
		name := b.status().Name
		if err := b.set.Pause(name, true); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		_, err := b.set.Inspect(t.Context(), name, new(wire.Inspect), nil)
		if !errors.Is(err, errNotStreaming) || err.Error() != "slave is not streaming: paused" {
			t.Error(err)
		}
		b.stop()
	})
}
