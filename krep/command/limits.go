package command

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"krealm/internal/profile"
	"krealm/internal/realmconf"
	"krealm/krep/feed"
)

// limits are the settings of ours that realmconf does not know.
type limits struct {
	maxSize int64         // of the delta file, in bytes
	maxAge  time.Duration // of what a slave holds; 0: none
	listen  []string      // addresses for slaves that connect; none: there are none
}

// loadLimits reads the limits.
func (s *settings) loadLimits(f *flags) (err error) {
	text := s.Relation("delta_max_size", f.maxSize, sizeText(feed.DefaultMaxSize))
	if s.maxSize, err = parseSize(text); err != nil {
		return fmt.Errorf("delta_max_size %q: %w", text, err)
	}
	text = s.Relation("delta_max_age", f.maxAge, "0")
	seconds, err := profile.ParseDelta(text)
	if err != nil || seconds < 0 {
		return fmt.Errorf("delta_max_age %q: not a duration such as 7d or 12h", text)
	}
	s.maxAge = time.Duration(seconds) * time.Second
	for word := range strings.FieldsSeq(s.Relation("connect_listen", f.listen, "")) {
		addr, err := realmconf.ParseListen(word, strconv.Itoa(DefaultPort))
		if err != nil {
			return fmt.Errorf("connect_listen %q: %w", word, err)
		}
		s.listen = append(s.listen, addr)
	}
	return nil
}

var errSize = errors.New("not a size such as 512 MiB, 1GiB or a number of bytes")

// parseSize reads a number of bytes with an optional KiB, MiB, GiB or TiB.
func parseSize(text string) (int64, error) {
	number, shift := strings.TrimSpace(text), 0
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = strings.TrimSpace(n), 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, " B"), 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return 0, errSize
	}
	return n << shift, nil
}
