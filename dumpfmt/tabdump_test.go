package dumpfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// flagNames are the names that kdb5_util tabdump gives to the attribute bits, in its order.
var flagNames = []struct {
	name string
	bit  uint32
}{
	{"DISALLOW_POSTDATED", AttrDisallowPostdated},
	{"DISALLOW_FORWARDABLE", AttrDisallowForwardable},
	{"DISALLOW_TGT_BASED", AttrDisallowTGTBased},
	{"DISALLOW_RENEWABLE", AttrDisallowRenewable},
	{"DISALLOW_PROXIABLE", AttrDisallowProxiable},
	{"DISALLOW_DUP_SKEY", AttrDisallowDupSkey},
	{"DISALLOW_ALL_TIX", AttrDisallowAllTix},
	{"REQUIRES_PRE_AUTH", AttrRequiresPreAuth},
	{"REQUIRES_HW_AUTH", AttrRequiresHWAuth},
	{"REQUIRES_PWCHANGE", AttrRequiresPwChange},
	{"DISALLOW_SVR", AttrDisallowSvr},
	{"PWCHANGE_SERVICE", AttrPwChangeService},
	{"SUPPORT_DESMD5", AttrSupportDESMD5},
	{"NEW_PRINC", AttrNewPrinc},
	{"OK_AS_DELEGATE", AttrOKAsDelegate},
	{"OK_TO_AUTH_AS_DELEGATE", AttrOKToAuthAsDelegate},
	{"NO_AUTH_DATA_REQUIRED", AttrNoAuthDataRequired},
	{"LOCKDOWN_KEYS", AttrLockdownKeys},
}

func isoTime(t uint32) string {
	return time.Unix(int64(t), 0).UTC().Format("2006-01-02T15:04:05Z")
}

// tables holds one function a table, which gives the rows of one principal.
var tables = map[string]struct {
	head string
	rows func(p *Principal) ([]string, error)
}{
	"princ_flags": {"name\tflag\tvalue", func(p *Principal) ([]string, error) {
		var rows []string
		for _, f := range flagNames {
			value := 0
			if p.Attributes&f.bit != 0 {
				value = 1
			}
			rows = append(rows, fmt.Sprintf("%s\t%s\t%d", p.Name, f.name, value))
		}
		return rows, nil
	}},
	"princ_lockout": {"name\tlast_success\tlast_failed\tfail_count", func(p *Principal) ([]string, error) {
		return []string{fmt.Sprintf("%s\t%s\t%s\t%d", p.Name, isoTime(p.LastSuccess), isoTime(p.LastFailed), p.FailCount)}, nil
	}},
	"princ_tktpolicy": {"name\texpiration\tpw_expiration\tmax_life\tmax_renew_life", func(p *Principal) ([]string, error) {
		return []string{fmt.Sprintf("%s\t%s\t%s\t%d\t%d", p.Name, isoTime(p.Expire), isoTime(p.PwExpire), p.MaxLife, p.MaxRenewLife)}, nil
	}},
	"princ_stringattrs": {"name\tkey\tvalue", func(p *Principal) ([]string, error) {
		list, err := p.Strings()
		var rows []string
		for _, a := range list {
			rows = append(rows, p.Name+"\t"+a.Key+"\t"+a.Value)
		}
		return rows, err
	}},
	"princ_meta": {"name\tmodby\tmodtime\tlastpwd\tpolicy\tmkvno\thist_kvno", metaRow},
	"alias": {"aliasname\ttargetname", func(p *Principal) ([]string, error) {
		target, ok := p.AliasTarget()
		if !ok {
			return nil, nil
		}
		return []string{p.Name + "\t" + target}, nil
	}},
}

func metaRow(p *Principal) ([]string, error) {
	when, by, ok := p.ModPrinc()
	if !ok {
		return nil, errors.New("no modifier")
	}
	mkvno, ok := p.MKVNO()
	if !ok {
		mkvno = 1 // the lowest in K/M
	}
	kadm, err := p.KadmData()
	if _, ok := p.FindTL(TLKadmData); !ok {
		kadm.HistKVNO = 0 // as tabdump prints it
	}
	row := fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%d\t%d", p.Name, by, isoTime(when),
		isoTime(p.LastPwdChange()), kadm.Policy, mkvno, kadm.HistKVNO)
	return []string{row}, err
}

// TestTabdump: what the accessors say of a whole database is what kdb5_util tabdump
// printed of it.
func TestTabdump(t *testing.T) {
	for _, path := range fixtures(t, ".tsv") {
		t.Run(path, func(t *testing.T) {
			dir, file, _ := strings.Cut(strings.TrimPrefix(path, "testdata/full/tabdump-"), "/")
			table, ok := tables[strings.TrimSuffix(file, ".tsv")]
			if !ok {
				t.Fatal("no such table")
			}
			r, err := NewReader(bytes.NewReader(readFile(t, "testdata/full/"+dir+".dump")))
			if err != nil {
				t.Fatal(err)
			}
			got := []string{table.head}
			for {
				rec, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if p, ok := rec.(*Principal); ok {
					rows, err := table.rows(p)
					if err != nil {
						t.Errorf("%s: %v", p.Name, err)
					}
					got = append(got, rows...)
				}
			}
			want := strings.Split(strings.TrimSuffix(string(readFile(t, path)), "\n"), "\n")
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || got[i] != want[i] {
					t.Fatalf("row %d of %d and %d: got %q, want %q", i, len(got), len(want), at(got, i), at(want, i))
				}
			}
		})
	}
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return "(none)"
}
