package serve

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

// MITLog writes the lines of MIT krb5kdc, which log watchers know (docs/protocols/kdc.md section
// 8). Files get them with a header, syslog without.
type MITLog struct {
	Files  []io.Writer
	Syslog func(level Level, line string) // nil: no syslog
	Host   string
	Clock  func() time.Time
	Debug  bool // write debug lines to files
}

// Bounds of a line.
const (
	maxLine   = 2048
	maxName   = 128
	maxEtypes = 64
)

// Exchange implements Log.
func (l *MITLog) Exchange(ev *exchange.Event) {
	for _, n := range ev.Notes {
		l.Line(LevelInfo, n)
	}
	switch {
	case ev.Kind == exchange.Undecodable:
		l.Line(LevelInfo, droppedReason(ev)+" - while dispatching ("+ev.Via+")")
	default:
		l.Line(LevelInfo, eventLine(ev))
		if ev.Delegate != "" {
			word := "PROTOCOL-TRANSITION"
			if ev.Proxy {
				word = "CONSTRAINED-DELEGATION"
			}
			l.Line(LevelInfo, fmt.Sprintf("... %s s4u-client=%s", word, clip(ev.Delegate)))
		}
	}
}

// droppedReason says why a message got no answer: in MIT's words where it has some, else in ours, and
// then from whom it came.
func droppedReason(ev *exchange.Event) string {
	switch ev.Status {
	case statusType:
		return "Invalid message type"
	case statusRealm:
		return "Realm not local to KDC"
	}
	return fmt.Sprintf("%v (from %s)", ev.Err, address(ev.From))
}

// eventLine is the line of an exchange.
func eventLine(ev *exchange.Event) string {
	client, server := clip(orUnknown(ev.Client, "<unknown client>")), clip(orUnknown(ev.Server, "<unknown server>"))
	from := address(ev.From)
	tgs := ev.Kind == exchange.TGS
	if tgs && ev.Code == krbmsg.ErrServerNoMatch {
		return fmt.Sprintf("TGS_REQ %s: %s: authtime %d, %s for %s, 2nd tkt client %s",
			from, ev.Status, ev.AuthTime, client, server, clip(orUnknown(ev.Second, "<unknown>")))
	}
	head := fmt.Sprintf("%s (%s) %s: %s: ", ev.Kind, etypeList(ev.Etypes), from, ev.Status)
	switch {
	case ev.Code == 0 && ev.Status == exchange.StatusIssue:
		return head + fmt.Sprintf("authtime %d, etypes {rep=%s, tkt=%s, ses=%s}, %s for %s", ev.AuthTime,
			etypeName(ev.RepEtype), etypeName(ev.TktEtype), etypeName(ev.SesEtype), client, server)
	case tgs:
		return head + fmt.Sprintf("authtime %d,  %s for %s, %s", ev.AuthTime, client, server, errorText(ev))
	}
	return head + fmt.Sprintf("%s for %s, %s", client, server, errorText(ev))
}

// errorText is the table's text for a code, or something more specific where the code says
// next to nothing.
func errorText(ev *exchange.Event) string {
	if ev.Err != nil && (ev.Code == krbmsg.ErrGeneric || ev.Code == krbmsg.ErrPolicy) {
		return ev.Err.Error()
	}
	return krbmsg.ErrorText(ev.Code)
}

func etypeList(list []int32) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d etypes {", len(list))
	for i, n := range list {
		if i == maxEtypes {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(etypeName(n))
	}
	return b.String() + "}"
}

func etypeName(n int32) string {
	e := krbcrypto.Enctype(n)
	name, num := "", "("+strconv.Itoa(int(n))+")"
	if e.Known() {
		name = e.String()
	}
	switch {
	case !krbcrypto.Supported(e):
		return "UNSUPPORTED:" + name + num
	case e.Deprecated():
		return "DEPRECATED:" + name + num
	}
	return name + num
}

// clip shortens names as MIT krb5kdc does.
func clip(name string) string {
	if len(name) < maxName {
		return name
	}
	return name[:maxName-4] + "..."
}

func orUnknown(s, unknown string) string {
	if s == "" {
		return unknown
	}
	return s
}

// printable keeps a line one line, whatever a peer has put into it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

var severity = map[Level]string{
	LevelDebug: "debug", LevelInfo: "info", LevelNotice: "Notice", LevelWarning: "Warning", LevelError: "Error",
}

// Line implements Log.
func (l *MITLog) Line(level Level, text string) {
	text = printable(text)
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	if level != LevelDebug || l.Debug {
		line := fmt.Sprintf("%s %s krb5kdc[%d](%s): %s\n", l.Clock().Local().Format("Jan 02 15:04:05"),
			l.Host, os.Getpid(), severity[level], text)
		for _, w := range l.Files {
			_, _ = io.WriteString(w, line) // a log that cannot be written cannot be told of
		}
	}
	if l.Syslog != nil && level != LevelDebug {
		l.Syslog(level, text)
	}
}

// Panic implements Log.
func (l *MITLog) Panic(digest string, length int, value string, stack []byte) {
	l.Line(LevelError, fmt.Sprintf("request of %d bytes, SHA-256 %s, made the server panic: %s", length, digest, value))
	for line := range strings.Lines(string(stack)) {
		l.Line(LevelError, strings.TrimSpace(line))
	}
}
