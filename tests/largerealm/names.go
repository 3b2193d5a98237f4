package largerealm

import (
	"fmt"
	"sort"
	"strings"
)

// section is a run of entries of one kind. Sections stand in the bytewise order of their names.
type section struct {
	kind  kind
	count int
	first int // number of its first entry in the realm
}

type kind int

const (
	kindWeb kind = iota // HTTP/...
	kindMaster
	kindHost // host/...
	kindAdmin
	kindChangepw
	kindHistory
	kindTGT
	kindFiles // nfs/...
	kindPeople
)

// minEntries is the smallest realm: MIT's own five.
const minEntries = 5

// maxEntries leaves each kind names enough.
const maxEntries = 10_000_000

// adminEvery: of the people, one in so many has an administrator's entry too.
const adminEvery = 250

// sections divides n entries.
func sections(n int) []section {
	rest := n - minEntries
	web, hosts, files := rest/20, rest/5, rest/20
	list := []section{
		{kind: kindWeb, count: web}, {kind: kindMaster, count: 1}, {kind: kindHost, count: hosts},
		{kind: kindAdmin, count: 1}, {kind: kindChangepw, count: 1}, {kind: kindHistory, count: 1}, {kind: kindTGT, count: 1},
		{kind: kindFiles, count: files}, {kind: kindPeople, count: rest - web - hosts - files},
	}
	first := 0
	for i := range list {
		list[i].first = first
		first += list[i].count
	}
	return list
}

// find returns the section of an entry.
func find(list []section, entry int) section {
	return list[sort.Search(len(list), func(i int) bool { return entry < list[i].first+list[i].count })]
}

// The syllables of names, in bytewise order. A name of a fixed number of them is a number in
// base 75, and the order of names that of numbers. People's names begin with a letter behind all
// other kinds'.
var (
	syllables = cross("bcdfghjklmnprst", "aeiou")
	initials  = cross("prstvwyz", "aeiou")
)

func cross(consonants, vowels string) []string {
	var list []string
	for _, c := range consonants {
		for _, v := range vowels {
			list = append(list, string(c)+string(v))
		}
	}
	return list
}

// word is the i-th of count names, spread over all there are; noise shifts it within its share.
func word(first []string, i, count int, noise uint64) string {
	base := uint64(len(syllables))
	all := uint64(len(first)) * base * base * base
	step := all / uint64(count)
	v := uint64(i)*step + noise%step
	var b strings.Builder
	b.WriteString(first[v/(base*base*base)])
	b.WriteString(syllables[v/(base*base)%base])
	b.WriteString(syllables[v/base%base])
	b.WriteString(syllables[v%base])
	return b.String()
}

// person says what the i-th entry among the people is: the number of the person, and whether it
// is the administrator's entry. That one, "name/admin@", stands before "name@".
func person(i int) (number int, admin bool) {
	group, place := i/(adminEvery+1), i%(adminEvery+1)
	return group*adminEvery + max(place-1, 0), place == 0
}

// name returns the principal of an entry, without realm.
func (r *Realm) name(s section, i int) string {
	switch s.kind {
	case kindWeb:
		return r.service("HTTP", s, i)
	case kindMaster:
		return "K/M"
	case kindHost:
		return r.service("host", s, i)
	case kindAdmin:
		return "kadmin/admin"
	case kindChangepw:
		return "kadmin/changepw"
	case kindHistory:
		return "kadmin/history"
	case kindTGT:
		return "krbtgt/" + r.o.Realm
	case kindFiles:
		return r.service("nfs", s, i)
	}
	number, admin := person(i)
	name := word(initials, number, s.count, r.noise(s.kind, number))
	if admin {
		name += "/admin"
	}
	return name
}

func (r *Realm) service(what string, s section, i int) string {
	return fmt.Sprintf("%s/%s.%s", what, word(syllables, i, s.count, r.noise(s.kind, i)), strings.ToLower(r.o.Realm))
}
