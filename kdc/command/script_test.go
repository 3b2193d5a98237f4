package command

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the scripts run the programs by their names.
func TestMain(m *testing.M) {
	program := func() { os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
	testscript.Main(m, map[string]func(){
		"kdc": program, "krb5kdc": program, kadminName: program, kdbUtilName: program,
	})
}

// scriptConf is the configuration that each script finds in its directory.
const scriptConf = `[libdefaults]
	default_realm = EXAMPLE.ORG
[realms]
	EXAMPLE.ORG = {
		database_name = ./principal
		key_stash_file = ./stash
	}
`

// TestScripts runs testdata/script: one file a topic, each in an empty directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"KRB5_CONFIG": filepath.Join(env.WorkDir, "krb5.conf"), "KRB5_KDC_PROFILE": filepath.Join(env.WorkDir, "kdc.conf"),
				"KRB5CCNAME": filepath.Join(env.WorkDir, "none"), "KRB5_KTNAME": filepath.Join(env.WorkDir, "default.kt"),
				"USER": "tester", "TZ": "UTC",
			} {
				env.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "krb5.conf"), []byte(scriptConf), 0o600)
		},
	})
}
