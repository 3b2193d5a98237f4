package daemontest

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Realm is the realm of the configuration. Its KDC answers nobody.
const Realm = "EXAMPLE.ORG"

// Host makes a directory of mode 0700 with a krb5.conf and a kdc.conf, and makes them this process's.
// krepSection stands in the realm's part of [krep]; DIR in it is the directory.
func Host(t *testing.T, krepSection string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"krb5.conf": "[libdefaults]\n default_realm = " + Realm + "\n[realms]\n " + Realm + " = {\n  kdc = 127.0.0.1:1\n }\n",
		"kdc.conf": "[realms]\n " + Realm + " = {\n  database_name = DIR/principal\n }\n[krep]\n " + Realm + " = {\n" +
			krepSection + " }\n",
	} {
		Write(t, dir, name, []byte(strings.ReplaceAll(text, "DIR", dir)))
	}
	t.Setenv("KRB5_CONFIG", filepath.Join(dir, "krb5.conf"))
	t.Setenv("KRB5_KDC_PROFILE", filepath.Join(dir, "kdc.conf"))
	return dir
}

// Write writes a file of mode 0600.
func Write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Keytab is a keytab with one key of aes256-cts-hmac-sha1-96, 32 octets, of a principal of Realm.
func Keytab(key []byte, components ...string) []byte {
	str := func(b []byte, s string) []byte {
		return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	r := binary.BigEndian.AppendUint16(nil, uint16(len(components)))
	r = str(r, Realm)
	for _, c := range components {
		r = str(r, c)
	}
	r = append(r, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 18)
	r = str(r, string(key))
	return append(binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(len(r))), r...)
}
