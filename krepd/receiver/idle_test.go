package receiver

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/internal/wire"
)

// TestFeederThatDoesNotFeed: a feeder that says goodbye and no hello, again and again, is no feeder, and
// logged once an hour; another reason is logged at once, and so is that it feeds at last.
func TestFeederThatDoesNotFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var log bytes.Buffer
		b.rec.o.Log = zerolog.New(&log)
		again := func(d time.Duration, say wire.Message) (times int) {
			log.Reset()
			for start := time.Now(); time.Since(start) < d; times++ {
				f := b.connect()
				<-time.After(8 * time.Second)
				if b.rec.Feeder() != nil {
					t.Error("it counts as feeder")
				}
				if say != nil {
					f.send(say)
				}
				if m := f.next(); m != nil {
					t.Errorf("told %+v", m)
				}
				b.wg.Wait()
				<-time.After(100 * time.Millisecond)
			}
			return times
		}
		lines := func(want int, text string) {
			t.Helper()
			if n, fit := strings.Count(log.String(), `"message"`), strings.Count(log.String(), text); n != want || fit != want {
				t.Errorf("%d lines, of which %d with %s, want %d:\n%.2000s", n, fit, text, want, &log)
			}
		}
		if n := again(150*time.Minute, &wire.Bye{Text: "paused"}); n < 1000 {
			t.Errorf("%d streams", n)
		}
		lines(3, `"error":"feeder says goodbye: paused"`)
		again(10*time.Minute, nil)
		lines(1, `"level":"warn"`) // silent
		log.Reset()
		b.connect().hello()
		lines(1, `"message":"feeder connected"`)
		if b.rec.Feeder() == nil {
			t.Error("there is no feeder")
		}
		b.stop()
		b.wg.Wait()
		log.Reset()
	})
}
