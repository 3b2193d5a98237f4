package command

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
)

const usage = `Usage: kdc COMMAND [ARGUMENTS]

  serve         answer Kerberos clients (options of krb5kdc)
  kadmin.local  administer principals and policies
  kdb5_util     create, load, dump and destroy the database
  version       print the version
  help          print this

Called as krb5kdc, kadmin.local or kdb5_util it is that program.
`

// Main runs the program that args[0] names, or the subcommand in args[1], and returns the exit
// status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	switch filepath.Base(args[0]) {
	case "krb5kdc":
		return Serve(args[1:], stdin, stdout, stderr)
	case kadminName:
		return KadminLocal(args[1:], stdin, stdout, stderr)
	case kdbUtilName:
		return KDBUtil(args[1:], stdin, stdout, stderr)
	}
	if len(args) < 2 {
		fmt.Fprint(stderr, usage)
		return 1
	}
	rest := args[2:]
	switch args[1] {
	case "serve", "krb5kdc":
		return Serve(rest, stdin, stdout, stderr)
	case kadminName:
		return KadminLocal(rest, stdin, stdout, stderr)
	case kdbUtilName:
		return KDBUtil(rest, stdin, stdout, stderr)
	case "version", "-version", "--version":
		fmt.Fprintln(stdout, "kdc", version())
		return 0
	case "help", "-help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return 0
	}
	fmt.Fprintf(stderr, "kdc: unknown command %q\n%s", args[1], usage)
	return 1
}

// version is what the go command knows of the build: a tag, or a revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && (v == "" || v == "(devel)") {
			v = s.Value
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v + " " + info.GoVersion
}
