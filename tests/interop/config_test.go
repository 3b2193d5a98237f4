package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// modules is a [plugins] section as the machines of large sites have it.
const modules = `[plugins]
    kdcpolicy = {
        module = xrealmauthz:/no/such/xrealmauthz.so
    }
    kdcpreauth = {
        disable = pkinit
        module = radius:/no/such/radius.so
    }
    pwqual = {
        module = strength:/no/such/strength.so
    }
    localauth = {
        module = sssd:/usr/lib/sssd/modules/sssd_krb5_localauth_plugin.so
        enable_only = sssd
    }
    frobnicate = {
        module = x:y
    }
`

// TestUnknownPlugins: modules that this KDC does not have, in kdc.conf and krb5.conf, keep nobody from logging in, nor
// kadmin.local from working; those that a KDC would have loaded are named.
func TestUnknownPlugins(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	addLines(t, a.KDCConf, modules)
	addLines(t, a.KRB5Conf, modules)
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	a.start(ctx, t)
	login(ctx, t, a.client(t, "plugins", testrealm.UDP), "alice")
	for _, word := range []string{"xrealmauthz.so", "radius.so"} {
		says(ctx, t, a.kdc, word)
	}
	if log := a.kdc.Log(); strings.Contains(log, "sssd") || strings.Contains(log, "strength") || strings.Contains(log, "frobnicate") {
		t.Errorf("modules of others are named:\n%s", log)
	}
}

// TestStringAttributes is section 9.3 with the stock client: what the KDC reads of an entry's strings.
func TestStringAttributes(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	addLines(t, a.KDCConf, "[realms]\n\tA.TEST = {\n\t\tencrypted_challenge_indicator = strong\n\t}\n")
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice", "addprinc -pw pw-bob bob", "setstr alice otp []",
		"setstr alice pkinit_cert_match <SAN>x")
	keytab := a.keytab(ctx, t, "host/session.a.test", "host/strong.a.test", "host/pac.a.test")
	a.kadmin(ctx, t, "setstr host/session.a.test session_enctypes aes128-cts-hmac-sha256-128",
		`setstr host/strong.a.test require_auth "other strong"`,
		"setstr host/pac.a.test pac_privsvr_enctype aes128-cts-hmac-sha1-96")
	a.start(ctx, t)
	c := a.client(t, "strings", testrealm.UDP)
	login(ctx, t, c, "alice", "-r", "2d")
	checked := func(service string) {
		t.Helper()
		if out := run(ctx, t, c, "kvno", "-k", keytab, service); !strings.Contains(out, "keytab entry valid") {
			t.Errorf("kvno said %s", out)
		}
	}
	checked("host/session.a.test")
	result, err := c.Klist(ctx)
	if out := succeeds(t, result, err); !strings.Contains(out, "Etype (skey, tkt): aes128-cts-hmac-sha256-128, aes256-cts-hmac-sha1-96") {
		t.Errorf("klist said %s", out)
	}
	result, err = c.Kvno(ctx, "host/strong.a.test")
	fails(t, result, err, "KDC policy rejects request")
	checked("host/pac.a.test")
	login(ctx, t, c, "alice", "-r", "2d", "-S", "host/pac.a.test")
	run(ctx, t, c, "kinit", "-R", "-S", "host/pac.a.test") // the KDC verifies its own signatures

	armor := filepath.Join(c.Dir, "armor")
	login(ctx, t, c, "bob", "-c", armor)
	login(ctx, t, c, "alice", "-T", armor)
	checked("host/strong.a.test")
}
