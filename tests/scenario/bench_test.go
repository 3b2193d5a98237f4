package scenario

import (
	"testing"
	"time"

	"krealm/internal/stream/streamtest"
)

// BenchmarkChangeToApplied is the time from before a change on the master until a slave has it in
// its database; commit-ns is the master's part of it.
func BenchmarkChangeToApplied(b *testing.B) {
	realm := streamtest.NewRealm(realmName)
	m := newMaster(b, realm)
	s := newSlave(b, realm, "slave1")
	m.listed(s)
	m.start()
	s.start()
	s.reaches(m.add(1))
	var commit time.Duration
	b.ResetTimer()
	for b.Loop() {
		start := time.Now()
		st := m.add(1)
		commit += time.Since(start)
		s.reaches(st)
	}
	b.ReportMetric(float64(commit.Nanoseconds())/float64(b.N), "commit-ns/op")
}
