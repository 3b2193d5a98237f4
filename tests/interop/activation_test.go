package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"krealm/tests/testrealm"
)

// TestKKDCP: the stock client reaches our KDC by way of HTTPS alone.
func TestKKDCP(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	keytab := a.keytab(ctx, t, "host/svc.a.test")
	cert, key := selfSigned(t, a.Dir)
	web := must(a.Realm().AddHost("web"))(t) // for its port
	addLines(t, a.KDCConf, fmt.Sprintf("[kdcdefaults]\n\tkkdcp_listen = 127.0.0.1:%d\n\tkkdcp_certificate = %s\n\tkkdcp_key = %s\n", web.KDCPort, cert, key))
	a.startOn(ctx, t, web)
	c := a.client(t, "https", testrealm.UDP)
	file := filepath.Join(c.Dir, "krb5.conf")
	plain := fmt.Sprintf("kdc = 127.0.0.1:%d", a.KDCPort)
	https := fmt.Sprintf("kdc = https://localhost:%d/KdcProxy\n\t\thttp_anchors = FILE:%s", web.KDCPort, cert)
	plugins := must(filepath.Glob(filepath.Join(peers(t), "usr/lib/*-linux-*/krb5/plugins")))(t)
	conf := strings.Replace(string(readFile(t, file)), plain, https, 1)
	writeFile(t, file, []byte(conf+"[libdefaults]\n\tplugin_base_dir = "+plugins[0]+"\n"))
	result, err := c.Kinit(ctx, "alice", "nonsense")
	fails(t, result, err, "Password incorrect")
	login(ctx, t, c, "alice")
	if out := run(ctx, t, c, "kvno", "-k", keytab, "host/svc.a.test"); !strings.Contains(out, "keytab entry valid") {
		t.Errorf("kvno said %s", out)
	}
	if trace := string(readFile(t, c.Trace)); !strings.Contains(trace, "Sending HTTPS request") || strings.Contains(trace, "Sending initial UDP") {
		t.Errorf("the client's trace:\n%s", trace)
	}
}

// kadmindConf takes realm, database name, stash file, two ports and a directory.
const kadmindConf = `[realms]
    %[1]s = {
        database_name = %[2]s
        key_stash_file = %[3]s
        kadmind_port = %[4]d
        kpasswd_port = %[5]d
        acl_file = %[6]s/acl
    }
`

// TestKKDCPPassword: kpasswd changes a password by way of HTTPS alone: our KDC gives the ticket, and passes the change
// on to the realm's password server, a stock kadmind over a copy of the database. Then without the proxy.
func TestKKDCPPassword(t *testing.T) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	a.tool(ctx, t, "kdb5_util", "dump", dumpFile(a.Host, "dump"))
	cert, key := selfSigned(t, a.Dir)
	web, h, port := must(a.Realm().AddHost("web"))(t), must(a.Realm().AddHost("kadmind"))(t), must(a.Realm().AddHost("kpasswd"))(t)
	addLines(t, a.KDCConf, fmt.Sprintf("[kdcdefaults]\n\tkkdcp_listen = 127.0.0.1:%d\n\tkkdcp_certificate = %s\n\tkkdcp_key = %s\n"+
		"[realms]\n\tA.TEST = {\n\t\tkpasswd_server = 127.0.0.1:%d\n\t}\n", web.KDCPort, cert, key, port.KDCPort))
	a.startOn(ctx, t, web)

	c := a.client(t, "kpasswd", testrealm.UDP)
	file := filepath.Join(c.Dir, "krb5.conf")
	plugins := must(filepath.Glob(filepath.Join(peers(t), "usr/lib/*-linux-*/krb5/plugins")))(t)
	https := fmt.Sprintf("https://localhost:%d/KdcProxy", web.KDCPort)
	conf := strings.Replace(string(readFile(t, file)), fmt.Sprintf("kdc = 127.0.0.1:%d", a.KDCPort),
		fmt.Sprintf("kdc = %s\n\t\tkpasswd_server = %s\n\t\thttp_anchors = FILE:%s", https, https, cert), 1)
	writeFile(t, file, []byte(conf+"[libdefaults]\n\tplugin_base_dir = "+plugins[0]+"\n"))
	change := func() testrealm.Result {
		t.Helper()
		result, err := c.Run(ctx, "pw-alice\nhello-World-1\nhello-World-1\n", "kpasswd", "alice")
		check(t, err)
		return result
	}
	if got := change(); got.Status == 0 {
		t.Errorf("a password was changed without a password server: %s", got.Stdout)
	}
	says(ctx, t, a.kdc, "no password server can be reached")

	mit := &site{Host: h, realm: a.realm, stock: true}
	writeFile(t, h.KDCConf, fmt.Appendf(nil, kadmindConf, a.realm, h.Database, h.Stash, h.KDCPort, port.KDCPort, h.Dir))
	writeFile(t, h.KRB5Conf, readFile(t, a.KRB5Conf))
	writeFile(t, filepath.Join(h.Dir, "acl"), nil)
	check(t, testrealm.CopyFile(h.Stash, a.Stash))
	mit.tool(ctx, t, "kdb5_util", "load", dumpFile(a.Host, "dump"))
	port.Release()
	must(h.Start(ctx, "kadmind", "-nofork", "-r", a.realm))(t)
	if got := change(); got.Status != 0 || !strings.Contains(got.Stdout, "Password changed") {
		t.Fatalf("kpasswd said %s%s\n%s", got.Stdout, got.Stderr, readFile(t, c.Trace))
	}
	if trace := string(readFile(t, c.Trace)); strings.Contains(trace, "Sending initial UDP") || strings.Contains(trace, "Initiating TCP") {
		t.Errorf("the client did not use the proxy alone:\n%s", trace)
	}
	for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} { // our copy has the old password still
		c = a.client(t, "kpasswd-"+string(transport), transport)
		addLines(t, filepath.Join(c.Dir, "krb5.conf"), fmt.Sprintf("[realms]\n\tA.TEST = {\n\t\tkpasswd_server = 127.0.0.1:%d\n\t}\n", port.KDCPort))
		if got := change(); got.Status != 0 || !strings.Contains(got.Stdout, "Password changed") {
			t.Errorf("%s: kpasswd said %s%s", transport, got.Stdout, got.Stderr)
		}
	}
	if out := mit.tool(ctx, t, "kadmin.local", "-q", "getprinc alice"); !strings.Contains(out, "vno 4") {
		t.Errorf("kadmin.local said %s", out)
	}
}

// startOn starts the site's KDC, which also binds another host's port.
func (s *site) startOn(ctx context.Context, t *testing.T, port *testrealm.Host) {
	t.Helper()
	must(port.Start(ctx, "sh", "-c", "echo port: starting... >&2"))(t) // lets go of the port
	s.start(ctx, t)
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der := must(x509.CreateCertificate(rand.Reader, c, c, k.Public(), k))(t)
	p8 := must(x509.MarshalPKCS8PrivateKey(k))(t)
	cert, key = filepath.Join(dir, "kkdcp.pem"), filepath.Join(dir, "kkdcp.key")
	writeFile(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeFile(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p8}))
	return cert, key
}

// TestSocketActivation: a service manager binds the sockets, passes them, and is told when the KDC
// is ready and when it ends: in the foreground, and as a daemon.
func TestSocketActivation(t *testing.T) {
	for _, option := range []string{"-n", "-4/dev/null"} { // the latter means nothing
		t.Run(option, func(t *testing.T) { activate(t, option) })
	}
}

func activate(t *testing.T, option string) {
	ctx, sites := newSites(t, "A.TEST")
	a := sites[0]
	a.kadmin(ctx, t, "addprinc -pw pw-alice +requires_preauth alice")
	must(a.Start(ctx, "sh", "-c", "echo port: starting... >&2"))(t) // lets go of the port
	address := fmt.Sprintf("127.0.0.1:%d", a.KDCPort)
	udp := must(net.ListenUDP("udp", must(net.ResolveUDPAddr("udp", address))(t)))(t)
	tcp := must(net.ListenTCP("tcp", must(net.ResolveTCPAddr("tcp", address))(t)))(t)
	notify := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(a.Dir, "notify"), Net: "unixgram"}))(t)
	defer notify.Close()
	check(t, notify.SetReadDeadline(time.Now().Add(waitTimeout)))
	cmd := exec.CommandContext(ctx, "sh", "-c", `LISTEN_PID=$$ exec "$0" serve `+option+` -r A.TEST`, filepath.Join(a.Realm().Daemon, "kdc"))
	cmd.Env = append(a.Env(), "LISTEN_FDS=2", "NOTIFY_SOCKET="+notify.LocalAddr().String())
	cmd.ExtraFiles = []*os.File{must(udp.File())(t), must(tcp.File())(t)}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	check(t, cmd.Start())
	check(t, udp.Close())
	check(t, tcp.Close())
	said := func() string {
		buf := make([]byte, 200)
		n := must(notify.Read(buf))(t)
		return string(buf[:n])
	}
	var pid int
	_, err := fmt.Sscanf(said(), "READY=1\nMAINPID=%d", &pid)
	check(t, err)
	defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }() // as a daemon it is no child of this process
	if foreground := option == "-n"; foreground != (pid == cmd.Process.Pid) {
		t.Errorf("%d is ready, %d was started", pid, cmd.Process.Pid)
	} else if !foreground {
		check(t, cmd.Wait())
	}
	for _, transport := range []testrealm.Transport{testrealm.UDP, testrealm.TCP} {
		login(ctx, t, a.client(t, string(transport), transport), "alice")
	}
	check(t, syscall.Kill(pid, syscall.SIGTERM))
	if got := said(); !strings.HasPrefix(got, "STOPPING=1") {
		t.Errorf("said %q", got)
	}
	if option == "-n" {
		check(t, cmd.Wait())
	}
}
