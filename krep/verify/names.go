package verify

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"unicode/utf8"

	"krealm/dumpfmt"
)

// note adds what differs between two listings to a report, in order, as far as it has room, in bytes of JSON.
func note(out *Slave, ours, theirs map[named]hash, room int) {
	for k, h := range ours {
		t, ok := theirs[k]
		switch {
		case !ok:
			out.Names = append(out.Names, entry(k, "missing"))
		case t != h:
			out.Names = append(out.Names, entry(k, "differs"))
		}
	}
	for k := range theirs {
		if _, ok := ours[k]; !ok {
			out.Names = append(out.Names, entry(k, "extra"))
		}
	}
	slices.SortFunc(out.Names, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	for i := range out.Names {
		b, err := json.Marshal(&out.Names[i])
		if room -= len(b) + 1; err != nil || room < 0 || i == MaxNames {
			out.Names, out.More = out.Names[:i:i], true
			break
		}
	}
}

func entry(k named, how string) Entry {
	kind := "principal"
	if k.kind == dumpfmt.KindPolicy {
		kind = "policy"
	}
	e := Entry{Kind: kind, Name: k.name, How: how}
	if !utf8.ValidString(k.name) {
		e.NameHex = hex.EncodeToString([]byte(k.name))
	}
	return e
}
