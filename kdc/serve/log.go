package serve

import "krealm/kdc/exchange"

// Level is how much a line matters.
type Level uint8

// Levels of lines.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelNotice
	LevelWarning
	LevelError
)

// Log is where a server tells what it does. Implementations are safe for concurrent use and
// keep nothing of an event.
type Log interface {
	Exchange(ev *exchange.Event)
	Line(level Level, text string)
	// Panic tells of a request that made the core panic: a digest of it, its length, the type
	// of the value and the stack. Content of requests is not logged.
	Panic(digest string, length int, value string, stack []byte)
}
