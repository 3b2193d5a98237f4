package heimdal

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"krealm/dumpfmt"
)

// The types of Heimdal lib/hdb/hdb.asn1 that have a place in MIT's entries. A number that the
// value does not hold is -1.
type (
	extension struct {
		Mandatory bool          `asn1:"tag:0,explicit"`
		Data      asn1.RawValue `asn1:"tag:1,explicit"`
	}
	keySet struct {
		Kvno int64     `asn1:"tag:0,explicit"`
		Keys []keyDER  `asn1:"tag:1,explicit"`
		Set  time.Time `asn1:"tag:2,explicit,optional,generalized"`
	}
	keyDER struct {
		MKVNO int64         `asn1:"tag:0,explicit,optional,default:-1"`
		Key   encryptionKey `asn1:"tag:1,explicit"`
		Salt  saltDER       `asn1:"tag:2,explicit,optional"`
	}
	encryptionKey struct {
		Type  int32  `asn1:"tag:0,explicit"`
		Value []byte `asn1:"tag:1,explicit"`
	}
	saltDER struct {
		Raw  asn1.RawContent
		Type int64  `asn1:"tag:0,explicit"`
		Salt []byte `asn1:"tag:1,explicit"`
	}
	aliases struct {
		AnyCase bool           `asn1:"tag:0,explicit"`
		Names   []principalDER `asn1:"tag:1,explicit"`
	}
	principalDER struct {
		Name  principalName `asn1:"tag:0,explicit"`
		Realm string        `asn1:"tag:1,explicit"`
	}
	principalName struct {
		Type       int32    `asn1:"tag:0,explicit"`
		Components []string `asn1:"tag:1,explicit"`
	}
)

// Numbers of the extensions.
const (
	extDelegation    = 2
	extPassword      = 5
	extAliases       = 6
	extLastPwdChange = 7
	extHistory       = 9
	extPolicy        = 12
)

// harmless are extensions that can be left out without a word: limits on the history, an
// identifier.
var harmless = map[int]bool{10: true, 11: true, 13: true}

// lostExtensions are those that mean something here has no place for.
var lostExtensions = map[int]string{
	0: "who may log in with which certificate", 1: "hashes of certificates", 8: "certificates",
	4: "a LAN Manager key", extPassword: "the password itself", 14: "the rotation of its keys", 15: "its own krb5.conf",
}

func (p *parser) extensions() {
	text := p.f[colExtensions]
	if p.err != nil || absent(text) || len(text) == 0 {
		return
	}
	for _, part := range bytes.Split(text, []byte(":")) {
		der := make([]byte, hex.DecodedLen(len(part)))
		if _, err := hex.Decode(der, part); err != nil {
			p.fail(colExtensions, "not hexadecimal")
			return
		}
		if err := p.extension(der); err != nil {
			p.fail(colExtensions, "%w", err)
			return
		}
	}
}

var errExtension = errors.New("malformed extension")

// unmarshal reads a value that fills its bytes.
func unmarshal(der []byte, v any, params string) error {
	rest, err := asn1.UnmarshalWithParams(der, v, params)
	if err != nil || len(rest) > 0 {
		return errExtension
	}
	return nil
}

func (p *parser) extension(der []byte) error {
	var x extension
	if err := unmarshal(der, &x, ""); err != nil {
		return err
	}
	var choice asn1.RawValue
	if err := unmarshal(x.Data.Bytes, &choice, ""); err != nil || choice.Class != asn1.ClassContextSpecific {
		return errExtension
	}
	var err error
	switch choice.Tag {
	case extDelegation:
		err = p.delegation(choice.Bytes)
	case extAliases:
		err = p.aliases(choice.Bytes)
	case extLastPwdChange:
		var at time.Time
		err = unmarshal(choice.Bytes, &at, "generalized")
		p.entry.Principal.SetLastPwdChange(uint32(min(max(at.Unix(), 0), math.MaxUint32)))
	case extHistory:
		err = p.history(choice.Bytes)
	case extPolicy:
		err = p.policy(choice.Bytes)
	default:
		what, known := lostExtensions[choice.Tag]
		switch {
		case harmless[choice.Tag]:
		case x.Mandatory:
			err = fmt.Errorf("extension %d, which Heimdal marks as mandatory, is not known here", choice.Tag)
		case known:
			p.entry.lose(what)
		default:
			p.entry.lose(fmt.Sprintf("extension %d", choice.Tag))
		}
	}
	return err
}

func (d *principalDER) name() (string, error) {
	n := dumpfmt.Name{Realm: d.Realm, Components: d.Name.Components}
	s := n.String()
	if _, err := canonical([]byte(s)); err != nil {
		return "", errExtension
	}
	return s, nil
}

func (p *parser) aliases(der []byte) error {
	var a aliases
	if err := unmarshal(der, &a, ""); err != nil {
		return err
	}
	for i := range a.Names {
		name, err := a.Names[i].name()
		if err != nil {
			return err
		}
		if name != p.entry.Principal.Name {
			p.entry.Aliases = append(p.entry.Aliases, name)
		}
	}
	if a.AnyCase {
		p.entry.lose("that upper and lower case make no difference in its name")
	}
	return nil
}

// delegation keeps the services that the entry may act towards for its clients: one element of
// tagged data each.
func (p *parser) delegation(der []byte) error {
	var targets []principalDER
	if err := unmarshal(der, &targets, ""); err != nil {
		return err
	}
	for i := range targets {
		name, err := targets[i].name()
		if err != nil {
			return err
		}
		if len(name) > math.MaxUint16 {
			return errExtension
		}
		p.entry.Principal.TL = append(p.entry.Principal.TL, dumpfmt.TL{Type: dumpfmt.TLConstrainedDelACL, Data: []byte(name)})
	}
	return nil
}

func (p *parser) policy(der []byte) error {
	var name string
	if err := unmarshal(der, &name, "utf8"); err != nil {
		return err
	}
	if name == "" {
		return nil
	}
	if _, err := (&dumpfmt.Policy{Name: name}).AppendLine(nil, dumpfmt.Current); err != nil {
		return errors.New("policy: a name that MIT's format cannot hold")
	}
	k := dumpfmt.KadmData{HistKVNO: 2}
	k.SetPolicy(name)
	p.entry.Principal.SetKadmData(k)
	return nil
}

// history takes the keys of earlier versions. MIT knows the current version by its number, so
// those that are not below it cannot be kept.
func (p *parser) history(der []byte) error {
	var sets []keySet
	if err := unmarshal(der, &sets, ""); err != nil {
		return err
	}
	for _, set := range sets {
		if set.Kvno <= 0 || set.Kvno >= int64(p.kvno) {
			p.entry.lose(fmt.Sprintf("older keys of version %d, which is not below the current one", set.Kvno))
			continue
		}
		for i := range set.Keys {
			d := &set.Keys[i]
			k := Key{Kvno: uint16(set.Kvno), Enctype: d.Key.Type, MKVNO: d.MKVNO, Sealed: d.MKVNO >= 0, Value: d.Key.Value, Old: true, Ver: 1}
			if len(d.Salt.Raw) > 0 && (d.Salt.Type < 0 || d.Salt.Type > math.MaxUint32 || !k.setSalt(p.name, uint32(d.Salt.Type), d.Salt.Salt)) {
				return errExtension
			}
			p.entry.Keys = append(p.entry.Keys, k)
		}
	}
	return nil
}
