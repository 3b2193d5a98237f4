package serve

import (
	"github.com/rs/zerolog"

	"krealm/internal/krbcrypto"
	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
)

// JSONLog writes one JSON object a line.
type JSONLog struct{ Logger zerolog.Logger }

// Exchange implements Log.
func (l *JSONLog) Exchange(ev *exchange.Event) {
	e := l.Logger.Info()
	if ev.Kind == exchange.Undecodable {
		e.Str("from", address(ev.From)).Str("via", ev.Via).Str("status", ev.Status).AnErr("error", ev.Err).Msg("request dropped")
		return
	}
	e.Str("from", address(ev.From)).Str("status", ev.Status).Str("client", clip(orUnknown(ev.Client, "<unknown client>"))).
		Str("server", clip(orUnknown(ev.Server, "<unknown server>")))
	arr := zerolog.Arr()
	for i, n := range ev.Etypes {
		if i == maxEtypes {
			break
		}
		arr.Int32(n)
	}
	e.Array("etypes", arr)
	if ev.Code == 0 {
		e.Str("rep", krbcrypto.Enctype(ev.RepEtype).String()).Str("tkt", krbcrypto.Enctype(ev.TktEtype).String()).
			Str("ses", krbcrypto.Enctype(ev.SesEtype).String())
	} else {
		e.Int32("code", ev.Code).Str("text", krbmsg.ErrorText(ev.Code))
	}
	if ev.AuthTime != 0 {
		e.Int64("authtime", ev.AuthTime)
	}
	if ev.Err != nil {
		e.Str("cause", printable(ev.Err.Error()))
	}
	if ev.Second != "" {
		e.Str("second_client", clip(ev.Second))
	}
	if ev.Delegate != "" {
		e.Str("s4u_client", clip(ev.Delegate)).Bool("s4u_proxy", ev.Proxy)
	}
	if len(ev.Notes) > 0 {
		e.Strs("notes", ev.Notes)
	}
	e.Msg(ev.Kind.String())
}

// Line implements Log.
func (l *JSONLog) Line(level Level, text string) {
	l.Logger.WithLevel(zerologLevel[level]).Msg(printable(text))
}

// Panic implements Log.
func (l *JSONLog) Panic(digest string, length int, value string, stack []byte) {
	l.Logger.Error().Str("request_sha256", digest).Int("request_bytes", length).Str("panic", printable(value)).
		Bytes("stack", stack).Msg("request made the server panic")
}

var zerologLevel = map[Level]zerolog.Level{
	LevelDebug: zerolog.DebugLevel, LevelInfo: zerolog.InfoLevel, LevelNotice: zerolog.InfoLevel,
	LevelWarning: zerolog.WarnLevel, LevelError: zerolog.ErrorLevel,
}
