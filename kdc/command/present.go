package command

import (
	"fmt"
	"strings"

	"krealm/dumpfmt"
	"krealm/internal/krbcrypto"
)

// attributes lists the names of the bits that are set, in bit order, with a blank before each;
// bits without a name are numbers.
func attributes(attrs uint32) string {
	var b strings.Builder
	for i := range 32 {
		bit := uint32(1) << i
		if attrs&bit == 0 {
			continue
		}
		name := dumpfmt.AttrName(bit)
		if name == "" {
			name = fmt.Sprintf("0x%08x", bit)
		}
		b.WriteString(" " + name)
	}
	return b.String()
}

// enctypeName is a key's type as getprinc prints it.
func enctypeName(e krbcrypto.Enctype) string {
	switch {
	case !e.Known():
		return fmt.Sprintf("UNSUPPORTED:<Encryption type 0x%x>", int(e))
	case e.Deprecated():
		return "DEPRECATED:" + e.String()
	}
	return e.String()
}

// saltSuffix is ":type" for a salt that is not the normal one.
func saltSuffix(k *dumpfmt.Key) string {
	t := krbcrypto.SaltType(k.SaltType)
	switch {
	case k.Ver < 2 || t == krbcrypto.SaltNormal:
		return ""
	case t == krbcrypto.SaltNoRealm || t == krbcrypto.SaltOnlyRealm || t == krbcrypto.SaltSpecial:
		return ":" + t.String()
	}
	return fmt.Sprintf(":<Salt type 0x%x>", int(t))
}

// mkvno is the version of the master key that the entry names; 1 if it names none, as MIT
// has it for a realm that never rolled its master key.
func mkvno(p *dumpfmt.Principal) uint16 {
	if v, ok := p.MKVNO(); ok {
		return v
	}
	return 1
}

// showPrincipal is getprinc's output. policyKnown says whether the entry's policy exists.
func showPrincipal(p *dumpfmt.Principal, data dumpfmt.KadmData, policyKnown bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	when, by, _ := p.ModPrinc()
	line("Principal: %s", p.Name)
	line("Expiration date: %s", strdate(p.Expire))
	line("Last password change: %s", strdate(p.LastPwdChange()))
	line("Password expiration date: %s", strdate(p.PwExpire))
	line("Maximum ticket life: %s", strdur(int64(p.MaxLife)))
	line("Maximum renewable life: %s", strdur(int64(p.MaxRenewLife)))
	line("Last modified: %s (%s)", strdate(when), by)
	line("Last successful authentication: %s", strdate(p.LastSuccess))
	line("Last failed authentication: %s", strdate(p.LastFailed))
	line("Failed password attempts: %d", p.FailCount)
	line("Number of keys: %d", len(p.Keys))
	for i := range p.Keys {
		k := &p.Keys[i]
		line("Key: vno %d, %s%s", k.Kvno, enctypeName(krbcrypto.Enctype(k.Enctype)), saltSuffix(k))
	}
	line("MKey: vno %d", mkvno(p))
	line("Attributes:%s", attributes(p.Attributes))
	policy := data.Policy
	if policy == "" {
		policy = "[none]"
	} else if !policyKnown {
		policy += " [does not exist]"
	}
	line("Policy: %s", policy)
	return b.String()
}

// tersePrincipal is the output of getprinc -terse: one line, tabs between the fields, times
// as signed 32-bit numbers.
func tersePrincipal(p *dumpfmt.Principal, data dumpfmt.KadmData) string {
	when, by, _ := p.ModPrinc()
	policy := data.Policy
	if policy == "" {
		policy = "[none]"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\"%s\"\t%d\t%d\t%d\t%d\t\"%s\"\t%d\t%d\t%d\t%d\t\"%s\"\t%d\t%d\t%d\t%d\t%d",
		p.Name, int32(p.Expire), int32(p.LastPwdChange()), int32(p.PwExpire), p.MaxLife, by, int32(when),
		int32(p.Attributes), p.CurrentKvno(), mkvno(p), policy, p.MaxRenewLife, int32(p.LastSuccess), int32(p.LastFailed),
		int32(p.FailCount), len(p.Keys))
	for _, k := range p.Keys {
		salt := k.SaltType
		if k.Ver < 2 {
			salt = 0
		}
		fmt.Fprintf(&b, "\t%d\t%d\t%d\t%d", k.Ver, k.Kvno, k.Enctype, salt)
	}
	b.WriteString("\n")
	return b.String()
}

// showPolicy is getpol's output.
func showPolicy(p *dumpfmt.Policy) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Policy: %s", p.Name)
	line("Maximum password life: %s", strdur(int64(int32(p.MaxLife))))
	line("Minimum password life: %s", strdur(int64(int32(p.MinLife))))
	line("Minimum password length: %d", p.MinLength)
	line("Minimum number of password character classes: %d", p.MinClasses)
	line("Number of old keys kept: %d", p.History)
	line("Maximum password failures before lockout: %d", p.MaxFail)
	line("Password failure count reset interval: %s", strdur(int64(int32(p.FailInterval))))
	line("Password lockout duration: %s", strdur(int64(int32(p.LockoutDuration))))
	if p.KeySalts != "" && p.KeySalts != "-" {
		line("Allowed key/salt types: %s", p.KeySalts)
	}
	return b.String()
}

// tersePolicy is the output of getpol -terse.
func tersePolicy(p *dumpfmt.Policy) string {
	ks := p.KeySalts
	if ks == "" {
		ks = "-"
	}
	return fmt.Sprintf("\"%s\"\t%d\t%d\t%d\t%d\t%d\t0\t%d\t%d\t%d\t%s\n", p.Name, int32(p.MaxLife), int32(p.MinLife),
		p.MinLength, p.MinClasses, p.History, p.MaxFail, int32(p.FailInterval), int32(p.LockoutDuration), ks)
}
