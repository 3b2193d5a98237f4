package krbcrypto

import (
	"encoding/binary"
	"fmt"
)

// maxIterations bounds the work a parameter can ask of StringToKey: about two seconds for
// the slowest enctype. No implementation chooses more than 32768 by itself.
const maxIterations = 1 << 20

// StringToKey computes the key of a password. params is empty for the enctype's default, or
// the four bytes of an iteration count (RFC 3962 section 4, RFC 8009 section 4, RFC 6803
// section 3); a count below the default is refused, as MIT does, and so is one that would
// keep a processor busy for long. It fails with ErrUnsupported or ErrParams.
//
// The work is milliseconds on purpose: keep it off request goroutines.
func StringToKey(e Enctype, password, salt, params []byte) (*Key, error) {
	s := suiteOf(e)
	if s == nil {
		return nil, fmt.Errorf("enctype %d: %w", int32(e), ErrUnsupported)
	}
	iter := s.iterations
	switch {
	case len(params) == 0:
	case iter == 0 || len(params) != 4:
		return nil, fmt.Errorf("%s: %d bytes of parameters: %w", s.name, len(params), ErrParams)
	default:
		iter = binary.BigEndian.Uint32(params)
		if iter < s.iterations || iter > maxIterations {
			return nil, fmt.Errorf("%s: %d iterations, want %d to %d: %w",
				s.name, iter, s.iterations, maxIterations, ErrParams)
		}
	}
	b, err := s.profile.stringToKey(s, password, salt, int(iter))
	if err != nil {
		return nil, err
	}
	return newKey(s, b), nil
}
