package receiver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"krealm/deltafile"
	"krealm/internal/wire"
)

// errCopy is a full copy that is not what was announced.
var errCopy = errors.New("full copy is damaged")

// fullCopy receives, verifies and loads a full copy.
func (s *session) fullCopy(m *wire.SnapshotBegin) error {
	s.setCopying(m.Size)
	s.tellCopy()
	name := s.o.Spool.Path() + ".full"
	err := s.o.FS.Remove(name) // of an attempt that a kill has ended
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.fail(wire.ReasonSnapshot, 0, err.Error())
	}
	f, err := s.o.FS.Create(name)
	if err != nil {
		return s.fail(wire.ReasonSnapshot, 0, err.Error())
	}
	defer func() {
		_ = f.Close()
		_ = s.o.FS.Remove(name)
	}()
	s.log.Info().Uint64("bytes", m.Size).Uint64("serial", m.Base.Serial).Msg("receiving full copy")
	if err := s.receiveCopy(f, m.Size); err != nil {
		return err
	}
	size := int64(m.Size) // has come, so it fits
	base, err := verifyCopy(io.NewSectionReader(f, 0, size), m.Base)
	if err != nil {
		return s.fail(wire.ReasonSnapshot, 0, err.Error())
	}
	if err := s.o.Applier.Load(io.NewSectionReader(f, 0, size)); err != nil {
		return s.fail(wire.ReasonSnapshot, 0, err.Error())
	}
	s.log.Info().Stringer("epoch", base.Epoch).Uint64("serial", base.Serial).Msg("full copy loaded")
	s.at, s.pending, s.ending = base, nil, false
	if err := s.send(&wire.SnapshotEnd{Size: m.Size}); err != nil {
		return err
	}
	s.r.mu.Lock()
	s.want, s.copying = false, false
	s.copied()
	s.copies++
	s.feeder.Copied, s.feeder.CopySize = 0, 0
	s.r.mu.Unlock()
	select { // so that it is acknowledged
	case s.due <- struct{}{}:
	default:
	}
	return nil
}

func (s *session) setCopying(size uint64) {
	s.acking <- struct{}{}
	defer func() { <-s.acking }()
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.copying = true
	s.feeder.Copied, s.feeder.CopySize = 0, size
}

// receiveCopy writes the chunks to f and syncs it.
func (s *session) receiveCopy(f deltafile.File, size uint64) error {
	var have uint64
	for {
		m, err := s.receive(silentHeartbeats * s.o.Heartbeat)
		if err != nil {
			return fmt.Errorf("full copy cut at %d of %d octets: %w", have, size, err)
		}
		switch m := m.(type) {
		case *wire.Heartbeat:
		case *wire.SnapshotChunk:
			if m.Offset != have || have+uint64(len(m.Data)) > size {
				return s.fail(wire.ReasonSnapshot, 0, "chunk out of place")
			}
			if _, err := f.Write(m.Data); err != nil {
				return s.fail(wire.ReasonSnapshot, 0, err.Error())
			}
			have += uint64(len(m.Data))
			s.r.mu.Lock()
			s.feeder.Copied = have
			s.r.mu.Unlock()
		case *wire.SnapshotEnd:
			if m.Size != size || have != size {
				return s.fail(wire.ReasonSnapshot, 0, fmt.Sprintf("%d of %d octets have come", have, size))
			}
			if err := f.Sync(); err != nil {
				return s.fail(wire.ReasonSnapshot, 0, err.Error())
			}
			return nil
		case *wire.Error:
			return fmt.Errorf("feeder says: %s: %s", m.Reason, m.Text)
		case *wire.Bye:
			return fmt.Errorf("%w: %s", errBye, m.Text)
		default:
			return fmt.Errorf("feeder sent %v in a full copy", m.Kind())
		}
	}
}

// verifyCopy reads a full copy from its first octet to its last and compares its base with the
// one announced.
func verifyCopy(f io.Reader, want wire.Point) (deltafile.State, error) {
	full, err := deltafile.ReadFull(f)
	if err != nil {
		return deltafile.State{}, err
	}
	if _, err := io.Copy(io.Discard, full); err != nil {
		return deltafile.State{}, err
	}
	if n, err := f.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return deltafile.State{}, fmt.Errorf("%w: more octets behind its end", errCopy)
	}
	b := full.Base
	if uint64(b.Epoch) != want.Epoch || b.Serial != want.Serial || b.Hash != want.Hash {
		return deltafile.State{}, fmt.Errorf("%w: it is of %v, announced was %d", errCopy, b, want.Serial)
	}
	return b, nil
}
