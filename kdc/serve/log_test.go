package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

var events = []struct {
	name string
	ev   exchange.Event
	want string // MIT's line
}{
	{"AS success", exchange.Event{Kind: exchange.AS, Status: "ISSUE", Etypes: []int32{18, 17}, AuthTime: 100, RepEtype: 18, TktEtype: 17, SesEtype: 20,
		Client: "user@A.TEST", Server: "krbtgt/A.TEST@A.TEST"},
		"AS_REQ (2 etypes {aes256-cts-hmac-sha1-96(18), aes128-cts-hmac-sha1-96(17)}) 192.0.2.7: ISSUE: authtime 100, " +
			"etypes {rep=aes256-cts-hmac-sha1-96(18), tkt=aes128-cts-hmac-sha1-96(17), ses=aes256-cts-hmac-sha384-192(20)}, user@A.TEST for krbtgt/A.TEST@A.TEST"},
	{"AS failure", exchange.Event{Kind: exchange.AS, Status: "NEEDED_PREAUTH", Code: 25, Etypes: []int32{18}, Client: "pre@A.TEST", Server: "krbtgt/A.TEST@A.TEST"},
		"AS_REQ (1 etypes {aes256-cts-hmac-sha1-96(18)}) 192.0.2.7: NEEDED_PREAUTH: pre@A.TEST for krbtgt/A.TEST@A.TEST, Additional pre-authentication required"},
	{"old and unknown enctypes", exchange.Event{Kind: exchange.AS, Status: "BAD_ENCRYPTION_TYPE", Code: 14, Etypes: []int32{23, 999, -135, 1}},
		"AS_REQ (4 etypes {DEPRECATED:arcfour-hmac(23), UNSUPPORTED:(999), UNSUPPORTED:(-135), UNSUPPORTED:des-cbc-crc(1)}) 192.0.2.7: " +
			"BAD_ENCRYPTION_TYPE: <unknown client> for <unknown server>, KDC has no support for encryption type"},
	{"TGS failure", exchange.Event{Kind: exchange.TGS, Status: "LOOKING_UP_SERVER", Code: 7, Etypes: []int32{18}, AuthTime: 7, Client: "u@A", Server: "s@A"},
		"TGS_REQ (1 etypes {aes256-cts-hmac-sha1-96(18)}) 192.0.2.7: LOOKING_UP_SERVER: authtime 7,  u@A for s@A, Server not found in Kerberos database"},
	{"TGS code 26", exchange.Event{Kind: exchange.TGS, Status: "2ND_TKT_MISMATCH", Code: 26, Etypes: []int32{18}, AuthTime: 7, Client: "u@A", Server: "s@A", Second: "x@A"},
		"TGS_REQ 192.0.2.7: 2ND_TKT_MISMATCH: authtime 7, u@A for s@A, 2nd tkt client x@A"},
	{"TGS generic error says why", exchange.Event{Kind: exchange.TGS, Status: "PROCESS_TGS", Code: 60, Server: "s@A", Err: errors.New("no matching key in entry")},
		"TGS_REQ (0 etypes {}) 192.0.2.7: PROCESS_TGS: authtime 0,  <unknown client> for s@A, no matching key in entry"},
	{"no request", exchange.Event{Status: statusType, Via: viaUDP}, "Invalid message type - while dispatching (udp)"},
	{"damaged", exchange.Event{Status: "DECODE", Via: viaTCP, Err: errors.New("der: cut off")}, "der: cut off (from 192.0.2.7) - while dispatching (tcp)"},
	{"another realm", exchange.Event{Status: statusRealm, Via: viaUDP, Err: errors.New("X")}, "Realm not local to KDC - while dispatching (udp)"},
	{"long name", exchange.Event{Kind: exchange.AS, Status: "CLIENT_NOT_FOUND", Code: 6, Client: strings.Repeat("x", 200), Server: "s@A"},
		"AS_REQ (0 etypes {}) 192.0.2.7: CLIENT_NOT_FOUND: " + strings.Repeat("x", 124) + "... for s@A, Client not found in Kerberos database"},
}

func TestMITLines(t *testing.T) {
	for _, c := range events {
		var buf bytes.Buffer
		l := &MITLog{Files: []io.Writer{&buf}, Host: "kdc1", Clock: func() time.Time { return time.Unix(0, 0) }}
		c.ev.From = peer
		l.Exchange(&c.ev)
		head, line, _ := strings.Cut(strings.TrimSuffix(buf.String(), "\n"), ": ")
		if line != c.want {
			t.Errorf("%s:\n %s\nwant\n %s", c.name, line, c.want)
		}
		stamp := time.Unix(0, 0).Local().Format("Jan 02 15:04:05")
		if want := stamp + " kdc1 krb5kdc[" + strconv.Itoa(os.Getpid()) + "](info)"; head != want {
			t.Errorf("head %q, want %q", head, want)
		}
	}
}

func TestMITNotesAndSecondLine(t *testing.T) {
	var lines []string
	l := &MITLog{Syslog: func(_ Level, s string) { lines = append(lines, s) }, Clock: time.Now}
	l.Exchange(&exchange.Event{Kind: exchange.TGS, Status: "ISSUE", Client: "s@A", Server: "s@A", Delegate: "u@A", Notes: []string{"a note"}})
	if len(lines) != 3 || lines[0] != "a note" || lines[2] != "... PROTOCOL-TRANSITION s4u-client=u@A" {
		t.Errorf("%q", lines)
	}
	lines = nil
	l.Line(LevelDebug, "quiet")
	l.Line(LevelError, "two\nlines\x1b")
	if len(lines) != 1 || lines[0] != "two?lines?" {
		t.Errorf("%q", lines)
	}
}

// TestLogsStayOneLine: nothing a peer sends makes a second line or an object that is not JSON.
func TestLogsStayOneLine(t *testing.T) {
	name := krbmsg.NewName(1, "evil\n{\"x\":1}\x00\x1b[2J", "\xff").Unparse([]byte("R\n"))
	ev := exchange.Event{Kind: exchange.AS, From: netip.Addr{}, Status: "CLIENT_NOT_FOUND", Code: 6, Client: name, Server: name,
		Err: errors.New("bad\nthing"), Etypes: make([]int32, 100000)}
	var j, m bytes.Buffer
	for _, l := range []Log{&JSONLog{Logger: zerolog.New(&j)}, &MITLog{Files: []io.Writer{&m}, Clock: time.Now}} {
		l.Exchange(&ev)
		l.Line(LevelInfo, "x\ny")
		l.Panic("00", 1, "p\nq", []byte("stack\n"))
	}
	for line := range strings.Lines(j.String()) {
		if !json.Valid([]byte(line)) || len(line) > 4096 {
			t.Errorf("%d octets: %.200s", len(line), line)
		}
	}
	if n := strings.Count(j.String(), "\n"); n != 3 {
		t.Errorf("%d JSON lines", n)
	}
	for line := range strings.Lines(m.String()) {
		if !strings.Contains(line, "krb5kdc[") || len(line) > 2200 {
			t.Errorf("%d octets: %.200s", len(line), line)
		}
	}
}

func TestJSONFields(t *testing.T) {
	var buf bytes.Buffer
	l := &JSONLog{Logger: zerolog.New(&buf)}
	l.Exchange(&exchange.Event{Kind: exchange.AS, From: peer, Status: "ISSUE", Etypes: []int32{18}, AuthTime: 5, RepEtype: 18, TktEtype: 18, SesEtype: 18, Client: "u@A", Server: "s@A"})
	var got map[string]any
	if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]any{"from": "192.0.2.7", "status": "ISSUE", "client": "u@A", "server": "s@A", "message": "AS_REQ", "authtime": 5.0, "tkt": "aes256-cts-hmac-sha1-96"} {
		if got[k] != v {
			t.Errorf("%s = %v, want %v", k, got[k], v)
		}
	}
}

func TestLogFileReopens(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := OpenLogFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		if _, err := io.WriteString(l, s); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"log.1": "old\none\ntwo\n", "log": "three\n"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	l2, err := OpenLogFile(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); len(b) != 0 {
		t.Errorf("not emptied: %q", b)
	}
	_ = l2.Close()
}
