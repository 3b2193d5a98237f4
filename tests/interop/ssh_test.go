package interop

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"krealm/tests/testrealm"
)

// sshdConf takes directory and port. Nothing of the machine's own configuration is read.
const sshdConf = `ListenAddress 127.0.0.1
Port %[2]d
HostKey %[1]s/hostkey
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PubkeyAuthentication no
KbdInteractiveAuthentication no
GSSAPIAuthentication yes
GSSAPIStrictAcceptorCheck no
LogLevel DEBUG1
`

// TestSSHService: an OpenSSH server with GSSAPIAuthentication lets in who has a ticket of ours, and gets the
// forwarded TGT of who gives it one; it lets in nobody else. It runs as a user without rights, who is the one to log in.
func TestSSHService(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	me := must(user.Current())(t)
	var lower []string
	if me.Uid == "0" { // as root it would want a user and a directory of the machine
		me = must(user.Lookup("daemon"))(t) // nobody counts as locked where systemd answers for it
		lower = []string{"setpriv", "--reuid=" + me.Uid, "--regid=" + me.Gid, "--clear-groups"}
	}
	a.kadmin(ctx, t, "addprinc -pw pw-me +requires_preauth "+me.Username, "addprinc -pw pw-alice +requires_preauth alice")
	keytab := a.keytab(ctx, t, "host/localhost")
	a.start(ctx, t)

	daemon := a.client(t, "sshd", testrealm.UDP)
	config := filepath.Join(daemon.Dir, "sshd_config")
	host := must(a.Realm().AddHost("sshd"))(t) // for its port
	writeFile(t, config, fmt.Appendf(nil, sshdConf, daemon.Dir, host.KDCPort))
	check(t, testrealm.CopyFile(filepath.Join(daemon.Dir, "keytab"), keytab))
	run(ctx, t, daemon, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(daemon.Dir, "hostkey"))
	// Program and library are copied: who runs them may not be able to reach where they were unpacked.
	libs := must(filepath.Glob(filepath.Join(peers(t), "*lib/*-linux-*/libwrap.so.0")))(t)
	libs = append(libs, must(filepath.Glob(filepath.Join(peers(t), "usr/lib/*-linux-*/libwrap.so.0")))(t)...)
	for _, file := range append(libs[:1:1], filepath.Join(peers(t), "usr/sbin/sshd")) {
		check(t, testrealm.CopyFile(filepath.Join(daemon.Dir, filepath.Base(file)), file))
	}
	sshd := filepath.Join(daemon.Dir, "sshd")
	check(t, os.Chmod(sshd, 0o700))
	if lower != nil {
		for _, d := range []string{a.Realm().Dir, a.Dir} {
			check(t, os.Chmod(d, 0o711))
		}
		run(ctx, t, daemon, "chown", "-R", me.Uid+":"+me.Gid, daemon.Dir)
	}
	host.Release()
	command := append(lower, "env", "KRB5_CONFIG="+filepath.Join(daemon.Dir, "krb5.conf"), "KRB5_KTNAME=FILE:"+filepath.Join(daemon.Dir, "keytab"),
		"KRB5_TRACE=/dev/null", "LD_LIBRARY_PATH="+daemon.Dir, sshd, "-D", "-e", "-f", config)
	server := must(host.StartSaying(ctx, "Server listening", command[0], command[1:]...))(t)
	defer server.Stop()

	ssh := func(c *testrealm.Client, options ...string) testrealm.Result {
		t.Helper()
		args := append([]string{"-v", "-F", "none", "-p", fmt.Sprint(host.KDCPort), "-l", me.Username, "-o", "BatchMode=yes",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + filepath.Join(c.Dir, "known_hosts"), "-o", "GlobalKnownHostsFile=none",
			"-o", "GSSAPIAuthentication=yes", "-o", "PreferredAuthentications=gssapi-with-mic", "-o", "AddressFamily=inet"}, options...)
		result, err := c.Run(ctx, "", "ssh", append(args, "localhost", "true")...)
		check(t, err)
		return result
	}
	const in = `using "gssapi-with-mic"`
	c := a.client(t, "me", testrealm.UDP)
	if got := ssh(c); strings.Contains(got.Stderr, in) {
		t.Errorf("let in without a ticket:\n%s", got.Stderr)
	}
	login(ctx, t, c, "alice", "-f")
	if got := ssh(c); strings.Contains(got.Stderr, in) {
		t.Errorf("let in as somebody else:\n%s", got.Stderr)
	}
	result, err := c.Kinit(ctx, me.Username, "pw-me", "-f")
	succeeds(t, result, err)
	if got := ssh(c); !strings.Contains(got.Stderr, in) {
		t.Errorf("not let in:\n%s\nthe server:\n%s", got.Stderr, server.Log())
	}
	says(ctx, t, server, "Authorized to "+me.Username+", krb5 principal "+me.Username+"@A.TEST")
	if got := ssh(c, "-o", "GSSAPIDelegateCredentials=yes"); !strings.Contains(got.Stderr, in) || !strings.Contains(got.Stderr, "Delegating credentials") {
		t.Errorf("not let in with a forwarded TGT:\n%s\nthe server:\n%s", got.Stderr, server.Log())
	}
	if out := a.kdc.Log(); !strings.Contains(out, `"server":"host/localhost@A.TEST"`) {
		t.Errorf("the KDC was not asked for the service:\n%s", out)
	}
}
