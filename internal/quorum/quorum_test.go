package quorum

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	for word, want := range map[string]Want{"all": All, "quorum": Quorum, "none": None, "0": None, "1": {kindNumber, 1}, "12": {kindNumber, 12}} {
		got, err := Parse(word)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", word, got, err)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%q: %v, %v", got, again, err)
		}
	}
	for _, word := range []string{"", "ALL", "-1", "1.5", "99999999999999999999", "65537", "quorum "} {
		if got, err := Parse(word); !errors.Is(err, ErrWant) {
			t.Errorf("%q: %v, %v", word, got, err)
		}
	}
}

// A quorum, with the master, is more than half of all databases, and no slave fewer would do.
func TestQuorum(t *testing.T) {
	for listed := range 20 {
		need := Quorum.Need(listed)
		if all := listed + 1; 2*(need+1) <= all || need > 0 && 2*need > all {
			t.Errorf("%d slaves: need %d", listed, need)
		}
		if All.Need(listed) != listed || None.Need(listed) != 0 || (Want{kindNumber, 3}).Need(listed) != 3 {
			t.Errorf("%d slaves", listed)
		}
	}
}
