package receiver

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// TestStreamsThatBreak: a feeder whose every stream is lost again is told of three times, then once a minute for
// ten, then once an hour, with how often it was; so is one that says goodbye each time. That one feeds
// for a minute at last is told once, and then all is told again.
func TestStreamsThatBreak(t *testing.T) {
	for _, tt := range []struct {
		name, level string
		end         func(f *feeder)
	}{
		{"lost", "warn", func(f *feeder) { _ = f.conn.Close() }},
		{"ended", "info", func(f *feeder) { f.send(&wire.Bye{Text: "full copy needed"}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				var log bytes.Buffer
				b.rec.o.Log = zerolog.New(zerolog.SyncWriter(&log))
				once := func() {
					f := b.connect()
					f.hello()
					<-time.After(time.Second)
					tt.end(f)
					b.wg.Wait()
				}
				for range 2 * 120 { // two hours
					once()
					<-time.After(29 * time.Second)
				}
				gone, connected := strings.Count(log.String(), `"message":"feeder gone"`), strings.Count(log.String(), `"message":"feeder connected"`)
				if gone < 12 || gone > 15 || connected < 3 || connected > gone {
					t.Errorf("%d and %d lines:\n%s", gone, connected, &log)
				}
				if !strings.Contains(log.String(), `"times":139,`) || strings.Count(log.String(), tt.level) < gone {
					t.Errorf("how often it was is not said:\n%s", &log)
				}
				log.Reset()
				f := b.connect()
				f.hello()
				<-time.After(3 * time.Minute)
				b.stop()
				b.wg.Wait()
				if n := strings.Count(log.String(), `"times":240,"since":`); n != 1 || strings.Count(log.String(), "feeder feeds again") != 1 {
					t.Errorf("the end is told %d times:\n%s", n, &log)
				}
			})
		})
	}
}

// TestCopyAfterTheTrouble: what mends a night of lost streams is told when it begins, and when it has come.
func TestCopyAfterTheTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var log bytes.Buffer
		b.rec.o.Log = zerolog.New(zerolog.SyncWriter(&log))
		copied := func(whole bool) {
			f := b.connect()
			f.hello()
			base := deltafile.Initial(realmName, 9, time.Unix(1700000000, 0))
			raw := fullCopy(t, base, 1000)
			f.send(&wire.SnapshotBegin{Base: wire.Point{Epoch: 9, Hash: base.Hash}, Size: uint64(len(raw))})
			if whole {
				f.send(&wire.SnapshotChunk{Data: raw})
				f.send(&wire.SnapshotEnd{Size: uint64(len(raw))})
				want[*wire.SnapshotEnd](f)
			}
			_ = f.conn.Close()
			b.wg.Wait()
		}
		for range 120 {
			f := b.connect()
			f.hello()
			_ = f.conn.Close()
			b.wg.Wait()
			<-time.After(30 * time.Second)
		}
		log.Reset()
		copied(true)
		for _, text := range []string{"receiving full copy", "full copy loaded"} {
			if n := strings.Count(log.String(), text); n != 1 {
				t.Errorf("%d lines of %s:\n%s", n, text, &log)
			}
		}
		log.Reset()
		for range 120 { // each is lost
			<-time.After(30 * time.Second)
			copied(false)
		}
		if n := strings.Count(log.String(), "receiving full copy"); n < 3 || n > 15 {
			t.Errorf("%d lines of copies in vain:\n%s", n, &log)
		}
	})
}

// TestQuarrel: two feeders that take the slave from one another fill no log.
func TestQuarrel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var log bytes.Buffer
		b.rec.o.Log = zerolog.New(zerolog.SyncWriter(&log))
		for range 120 {
			b.connect().hello()
			<-time.After(30 * time.Second)
		}
		b.stop()
		b.wg.Wait()
		for _, text := range []string{"a new stream takes the place", "feeder connected"} {
			if n := strings.Count(log.String(), text); n < 10 || n > 121 {
				t.Errorf("%d lines of %s", n, text)
			}
		}
		if n := strings.Count(log.String(), "a new stream takes the place"); n > 16 {
			t.Errorf("%d lines of it:\n%s", n, &log)
		}
	})
}
