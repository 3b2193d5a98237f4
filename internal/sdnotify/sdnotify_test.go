package sdnotify

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Notify(Ready); err != nil {
		t.Error(err)
	}
	abstract := "@krealm-test-" + strconv.Itoa(os.Getpid())
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), abstract} {
		at := name
		if name == abstract {
			at = "\x00" + name[1:]
		}
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		if err := Notify(Ready); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := c.Read(buf)
		if want := "READY=1\nMAINPID=" + strconv.Itoa(os.Getpid()); err != nil || string(buf[:n]) != want {
			t.Errorf("%q, %v", buf[:n], err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))
	if err := Notify(Ready); err == nil {
		t.Error("no error without a listener")
	}
}

// inheritEnv makes the test program the service that is started with sockets.
const inheritEnv = "SDNOTIFY_TEST_INHERIT"

func TestMain(m *testing.M) {
	if os.Getenv(inheritEnv) != "" {
		if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
			os.Exit(3)
		}
		s, err := Inherited()
		switch {
		case err != nil:
			os.Stdout.WriteString(err.Error())
		case s == nil:
			os.Stdout.WriteString("none")
		default:
			for _, u := range s.Packet {
				os.Stdout.WriteString("packet " + u.LocalAddr().String() + "\n")
			}
			for _, l := range s.Stream {
				os.Stdout.WriteString("stream " + l.Addr().String() + "\n")
			}
			if again, err := Inherited(); again != nil || err != nil {
				os.Stdout.WriteString("taken twice")
			}
			s.Close()
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestInherited(t *testing.T) {
	u, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "kdc"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for _, s := range []interface{ File() (*os.File, error) }{u, l.(*net.TCPListener), path} {
		f, err := s.File()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	plain, err := os.Create(filepath.Join(t.TempDir(), "plain"))
	if err != nil {
		t.Fatal(err)
	}
	all := "packet " + u.LocalAddr().String() + "\nstream " + l.Addr().String() + "\nstream " + path.Addr().String() + "\n"
	for _, c := range []struct {
		fds   string
		files []*os.File
		want  string
	}{
		{"3", files, all},
		{"0", nil, "none"},
		{"", nil, `LISTEN_FDS=""`},
		{"-1", nil, `LISTEN_FDS="-1"`},
		{"99999", nil, `LISTEN_FDS="99999"`},
		{"1", []*os.File{plain}, "inherited socket 3: "},
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), inheritEnv+"=1", "LISTEN_FDS="+c.fds)
		cmd.ExtraFiles = c.files
		out, err := cmd.Output()
		if err != nil || !strings.HasPrefix(string(out), c.want) || len(c.files) == 3 && string(out) != c.want {
			t.Errorf("LISTEN_FDS=%s: %q, %v", c.fds, out, err)
		}
	}
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	if s, err := Inherited(); s != nil || err != nil {
		t.Error("took sockets of another process")
	}
}
