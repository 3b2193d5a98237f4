package feed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"krealm/deltafile"
	"krealm/internal/repeats"
)

// Acked tells that Options.Safe may return more than before.
func (f *Feed) Acked() { f.poke() }

// poke tells that something was acknowledged or appended. That happens for each change as often as
// there are slaves, so cut is woken only if it rests.
func (f *Feed) poke() {
	f.moved.Store(int64(time.Since(f.made)))
	if f.resting.CompareAndSwap(true, false) {
		select {
		case f.acked <- struct{}{}:
		default:
		}
	}
}

// cut drops what is acknowledged. While something moves it looks every so often, and once more when
// it has been quiet; then it rests.
func (f *Feed) cut(ctx context.Context) error {
	period := min(f.o.Quiet, DefaultQuiet)
	look := time.NewTimer(period)
	defer look.Stop()
	age := time.NewTicker(agePeriod)
	defer age.Stop()
	for {
		still := false
		select {
		case <-ctx.Done():
			return nil
		case <-f.acked:
			look.Reset(period)
		case <-look.C:
			if still = f.rest(); !still {
				look.Reset(min(period, f.o.Quiet-f.idle()))
			}
		case <-age.C:
		}
		f.limit()
		e, upto, worth := f.worth(still)
		if !worth {
			continue
		}
		again, err := f.truncate(ctx, e, upto)
		if err != nil {
			return err
		}
		if again {
			look.Reset(cutAgain * f.o.Quiet)
		}
	}
}

// idle is how long nothing has moved.
func (f *Feed) idle() time.Duration { return time.Since(f.made) - time.Duration(f.moved.Load()) }

// rest tells whether it is quiet; the next poke then wakes cut.
func (f *Feed) rest() bool {
	if f.idle() < f.o.Quiet {
		return false
	}
	f.resting.Store(true)
	if f.idle() < f.o.Quiet { // somebody came in between, and may not have seen it resting
		f.resting.Store(false)
		return false
	}
	return true
}

// cutAgain is how many times Options.Quiet a cut that has failed waits for the next, if nothing
// calls for it before.
const cutAgain = 50

// worth tells whether to rewrite the file, and what to drop.
func (f *Feed) worth(still bool) (e deltafile.Epoch, upto uint64, ok bool) {
	f.mu.Lock()
	e, last, size := f.base.Epoch, f.last.Serial, f.size
	f.mu.Unlock()
	if e == 0 || size == 0 {
		return e, 0, false
	}
	upto, ok = f.o.Safe(e)
	if !ok {
		return e, 0, false
	}
	if upto = min(upto, last); upto == last && still {
		return e, upto, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	free := f.before(upto)
	return e, upto, free >= f.o.MinCut && free >= f.size/2
}

// truncate cuts the file; again says that it could not, for a reason that may pass.
func (f *Feed) truncate(ctx context.Context, e deltafile.Epoch, upto uint64) (again bool, err error) {
	base, err := f.drop(ctx, e, upto)
	var epoch *deltafile.EpochError
	switch {
	case ctx.Err() != nil:
		return false, nil
	case errors.As(err, &epoch), errors.Is(err, fs.ErrNotExist):
		return false, nil // follow sees it too
	case err != nil:
		var damage *deltafile.FormatError
		if errors.As(err, &damage) {
			return false, err
		}
		if f.failed.Again(repeats.Trouble, "", time.Now()) {
			f.o.Log.Error().Err(err).Int("times", f.failed.Times()).Msg("delta file could not be cut, trying again") // a full disk, say
		}
		f.troubled(err.Error())
		return true, nil
	}
	if times, since, tell := f.failed.Over(repeats.Trouble); tell {
		f.o.Log.Info().Int("times", times).Time("since", since).Msg("delta file can be cut again")
	}
	f.troubled("")
	f.cutAt(base)
	return false, nil
}

// reserve is room for the head of a delta file, and for the file system to note that there is one, in
// bytes.
const reserve = 64 << 10

// drop is the truncation itself. It works on a disk that the file has filled.
func (f *Feed) drop(ctx context.Context, e deltafile.Epoch, upto uint64) (deltafile.State, error) {
	a, err := deltafile.OpenAppender(f.o.Path, deltafile.AppenderOptions{FS: f.o.Tail.FS, Reserve: reserve})
	if err != nil {
		return deltafile.State{}, err
	}
	base, err := a.Truncate(ctx, e, upto)
	return base, errors.Join(err, a.Close())
}

func (f *Feed) troubled(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = why
}

// cutAt takes note that the file now begins at base: it was cut, here or by somebody else, or here
// by a truncation that has failed at its very end.
func (f *Feed) cutAt(base deltafile.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if base.Epoch == f.base.Epoch && base.Serial > f.base.Serial && base.Serial <= f.last.Serial {
		f.o.Log.Debug().Uint64("serial", base.Serial).Msg("delta file cut")
		f.rebase(base)
		f.wake()
	}
}

// limit lets go of slaves that hold the file beyond its limits.
func (f *Feed) limit() {
	if f.o.Release == nil {
		return
	}
	f.mu.Lock()
	e, size, oldest, last := f.base.Epoch, f.size, f.oldest, f.last.Serial
	var serial uint64
	var reason string
	if f.o.MaxSize > 0 && size > f.o.MaxSize {
		serial = last
		for _, m := range f.marks { // keep the newer half
			if m.off > size-f.o.MaxSize/2 {
				serial = m.serial
				break
			}
		}
		reason = fmt.Sprintf("delta file of %d bytes is beyond its limit of %d", size, f.o.MaxSize)
	} else if f.o.MaxAge > 0 && !oldest.IsZero() && time.Since(oldest) > f.o.MaxAge {
		serial = f.base.Serial + 1
		for _, cs := range f.window {
			if time.Since(cs.Time()) > f.o.MaxAge {
				serial = max(serial, cs.Serial)
			}
		}
		reason = fmt.Sprintf("delta file holds changes older than %v", f.o.MaxAge)
	}
	f.mu.Unlock()
	if reason != "" {
		f.o.Release(e, serial, reason)
	}
}
