package command

import (
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/realmconf"
	"krealm/kdc/serve"
)

// serveLog is the log of a KDC: where [logging] says, in the form that log_format says.
type serveLog struct {
	serve.Log
	files    []*serve.LogFile
	sys      *syslog.Writer
	onStderr bool
}

// newServeLog opens the log. Relations: [logging] kdc or default, as in MIT krb5; without
// them the log goes to standard error in the foreground and to syslog otherwise.
// [kdcdefaults] log_format is json or mit.
func newServeLog(o *serveOptions, stderr io.Writer) (*serveLog, error) {
	first := o.realms[0]
	conf, err := realmconf.Load(realmconf.Options{Realm: first.realm, Database: first.database})
	if err != nil {
		return nil, err
	}
	p := conf.Profile()
	places := p.Strings("logging", "kdc")
	if len(places) == 0 {
		places = p.Strings("logging", "default")
	}
	if len(places) == 0 {
		places = []string{"SYSLOG"}
		if o.foreground {
			places = []string{"STDERR"}
		}
	}
	debug, err := p.Bool(false, "logging", "debug")
	if err != nil {
		return nil, err
	}
	l := new(serveLog)
	var writers []io.Writer
	for _, place := range places {
		w, err := l.place(place, stderr)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("log %q: %w", place, err)
		}
		if w != nil {
			writers = append(writers, w)
		}
	}
	switch format, _ := p.String("kdcdefaults", "log_format"); format {
	case "", "json":
		l.Log = l.json(writers, debug)
	case "mit":
		l.Log = l.mit(writers, debug)
	default:
		l.close()
		return nil, fmt.Errorf("%s: log_format = %q: neither json nor mit", p.Source("kdcdefaults", "log_format"), format)
	}
	return l, nil
}

// place opens one destination; syslog gives no writer.
func (l *serveLog) place(spec string, stderr io.Writer) (io.Writer, error) {
	kind, path := spec, ""
	if i := strings.IndexAny(spec, ":="); i >= 0 {
		kind, path = spec[:i], spec[i+1:]
	}
	switch strings.ToUpper(kind) {
	case "FILE", "DEVICE":
		if path == "" {
			return nil, errors.New("no file name")
		}
		f, err := serve.OpenLogFile(path, strings.HasPrefix(spec[len(kind):], "=") && strings.EqualFold(kind, "FILE"))
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, f)
		return f, nil
	case "STDERR":
		l.onStderr = true
		return stderr, nil
	case "CONSOLE":
		f, err := serve.OpenLogFile("/dev/console", false)
		if err != nil {
			return nil, err
		}
		l.files = append(l.files, f)
		return f, nil
	case "SYSLOG":
		w, err := syslog.New(syslog.LOG_INFO|syslog.LOG_AUTH, serveName)
		if err == nil {
			l.sys = w
		}
		return nil, nil // a machine without a syslog daemon loses the log, as with MIT
	}
	return nil, errors.New("not FILE:, FILE=, STDERR, CONSOLE, DEVICE= or SYSLOG")
}

func (l *serveLog) json(writers []io.Writer, debug bool) serve.Log {
	if l.sys != nil {
		writers = append(writers, l.sys)
	}
	level := zerolog.InfoLevel
	if debug {
		level = zerolog.DebugLevel
	}
	logger := zerolog.New(zerolog.SyncWriter(io.MultiWriter(writers...))).Level(level)
	return &serve.JSONLog{Logger: logger.With().Timestamp().Str("program", serveName).Logger()}
}

func (l *serveLog) mit(writers []io.Writer, debug bool) serve.Log {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	m := &serve.MITLog{Files: writers, Host: host, Clock: time.Now, Debug: debug}
	if l.sys != nil {
		m.Syslog = l.syslogLine
	}
	return m
}

func (l *serveLog) syslogLine(level serve.Level, line string) {
	write := l.sys.Info
	switch level {
	case serve.LevelError:
		write = l.sys.Err
	case serve.LevelWarning:
		write = l.sys.Warning
	case serve.LevelNotice:
		write = l.sys.Notice
	}
	_ = write(line)
}

// reopen continues in the files that have the names now.
func (l *serveLog) reopen() {
	for _, f := range l.files {
		if err := f.Reopen(); err != nil {
			l.Line(serve.LevelWarning, "while reopening the log: "+err.Error())
		}
	}
}

func (l *serveLog) close() {
	for _, f := range l.files {
		_ = f.Close()
	}
	if l.sys != nil {
		_ = l.sys.Close()
	}
}
