package serve

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"krealm/internal/krbmsg"
	"krealm/kdc/exchange"
	"krealm/tests/kdcfixture"
	"krealm/tests/kdctest"
)

// benchmark answers one request again and again, below the cache.
func benchmark(b *testing.B, at int64, msg []byte, want string) {
	b.Helper()
	d, _ := recorded(b, at)
	if got := summary(core(d, msg)); got != want {
		b.Fatal(got)
	}
	b.ReportAllocs()
	for b.Loop() {
		core(d, msg)
	}
}

func BenchmarkASTimestamp(b *testing.B) {
	r, _, _ := kdctest.Realm(b, "A.TEST")
	body := kdctest.ASBody(kdctest.Name("A.TEST", "pre"), "krbtgt", "A.TEST")
	pa := kdctest.Timestamp(kdctest.Key(b, r, kdctest.Name("A.TEST", "pre")), kdctest.At)
	benchmark(b, kdctest.At, kdctest.ASReq(body, pa), "AS-REP")
}

func BenchmarkASNeedPreauth(b *testing.B) {
	body := kdctest.ASBody(kdctest.Name("A.TEST", "pre"), "krbtgt", "A.TEST")
	benchmark(b, kdctest.At, kdctest.ASReq(body), "ERR 25 NEEDED_PREAUTH")
}

func BenchmarkTGS(b *testing.B) {
	step := kdcfixture.Load(b, "tgs-plain").Steps[1]
	benchmark(b, step.Time, step.Request, "TGS-REP")
}

func BenchmarkTGSFAST(b *testing.B) {
	step := kdcfixture.Load(b, "mit-1.20-kinit-encts").Steps[2]
	benchmark(b, step.Time, step.Request, "TGS-REP")
}

// BenchmarkParallelTGS shows what the cores share.
func BenchmarkParallelTGS(b *testing.B) {
	step := kdcfixture.Load(b, "tgs-plain").Steps[1]
	d, _ := recorded(b, step.Time)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if core(d, step.Request) == nil {
				b.Error("no reply")
			}
		}
	})
}

func BenchmarkLookasideHit(b *testing.B) {
	d, _ := recorded(b, kdctest.At)
	msg := goodRequest(1)
	d.answer(msg, peer, viaUDP)
	b.ReportAllocs()
	for b.Loop() {
		d.answer(msg, peer, viaUDP)
	}
}

func BenchmarkDecodeOnly(b *testing.B) {
	step := kdcfixture.Load(b, "tgs-plain").Steps[1]
	b.ReportAllocs()
	for b.Loop() {
		var q krbmsg.KDCReq
		if q.Parse(step.Request) != nil {
			b.Fatal("refused")
		}
	}
}

// BenchmarkUDP measures whole exchanges over loopback, each a new request, with one or more
// goroutines a socket. Clients and server share the processors.
func BenchmarkUDP(b *testing.B) {
	for _, workers := range []int{1, 2, 4} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			d, log := recorded(b, kdctest.At)
			s, err := New(b.Context(), Options{UDP: []string{"127.0.0.1:0"}, Workers: workers, Realms: d.realms, Log: quiet{log}, Clock: d.clock})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			udp, _ := s.Addrs()
			var nonce atomic.Int64
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				c, err := net.Dial("udp", udp[0])
				if err != nil {
					b.Error(err)
					return
				}
				defer c.Close()
				buf := make([]byte, 4096)
				for pb.Next() {
					if _, err := c.Write(goodRequest(nonce.Add(1))); err != nil {
						b.Error(err)
					}
					if _, err := c.Read(buf); err != nil {
						b.Error(err)
					}
				}
			})
			cancel()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
}

// quiet drops events.
type quiet struct{ *memLog }

func (quiet) Exchange(*exchange.Event) {}
