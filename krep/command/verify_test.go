package command

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"krealm/kdc/kdb"
	"krealm/krep/sender"
	"krealm/krep/verify"
)

func TestPrintVerify(t *testing.T) {
	r := &verify.Report{Epoch: "5f0c1d2e3a4b5c6d", Serial: 48213, Entries: 381, Slaves: []verify.Slave{
		{Slave: "kdc2.example.org", Result: verify.Same, Serial: 48213, Entries: 381},
		{Slave: "kdc4.example.org", Result: verify.Unknown, Reason: "slave is not streaming: broken: un\x1b[2Known\n"},
		{Slave: "kdc5.example.org", Result: verify.Differs, Serial: 48214, Entries: 380, Parts: 2, ByHand: true, More: true,
			Names: []verify.Entry{{Kind: "policy", Name: "staff", How: "missing"}, {Kind: "principal", Name: "a\x1bb@R", How: "differs"}, {Kind: "principal", Name: "caf\ufffd@R", NameHex: "636166e94052", How: "extra"}}},
	}}
	var out bytes.Buffer
	if err := printVerify(&out, r); err != nil {
		t.Fatal(err)
	}
	want := `epoch 5f0c1d2e3a4b5c6d   serial 48213   381 entries
SLAVE             RESULT   SERIAL  ENTRIES  DETAIL
kdc2.example.org  same     48213   381      -
kdc4.example.org  unknown  -       -        slave is not streaming: broken: un?[2Known?
kdc5.example.org  differs  48214   380      2 of 256 parts, changed behind its back
kdc5.example.org: policy staff: missing
kdc5.example.org: principal "a\x1bb@R": differs
kdc5.example.org: principal "caf\xe9@R": extra
kdc5.example.org: and more
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for code, slaves := range map[int][]verify.Slave{exitDiffer: r.Slaves, exitUnknown: r.Slaves[:2], exitSame: r.Slaves[:1]} {
		if got := exitVerify(&verify.Report{Slaves: slaves}); got != code {
			t.Errorf("%d slaves: status %d, want %d", len(slaves), got, code)
		}
	}
	if got := exitVerify(&verify.Report{ByHand: true, Slaves: r.Slaves[:1]}); got != exitDiffer {
		t.Errorf("master changed by hand: status %d", got)
	}
	out.Reset()
	if err := printVerify(&out, &verify.Report{Epoch: "1", ByHand: true}); err != nil || !bytes.Contains(out.Bytes(), []byte("no slaves listed")) || !bytes.Contains(out.Bytes(), []byte("behind its back")) {
		t.Error(out.String(), err)
	}
}

// TestVerifyTooShort: where not even the master's database was read in time, that is said, and what helps.
func TestVerifyTooShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite")
	db, err := kdb.Create(t.Context(), path, "EXAMPLE.ORG", kdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	src := &databaseSource{path: path, log: zerolog.Nop()}
	defer src.Close()
	k := &krep{source: src, log: zerolog.Nop(), set: sender.NewSet(sender.Options{Log: zerolog.Nop(), Feed: fakeFeed{}})}
	_, err = k.verify(t.Context(), map[string]string{"timeout": "1ns"})
	if err == nil || err.Error() != "the master's database was not read within 1ns: give it a longer -timeout" {
		t.Error(err)
	}
}
