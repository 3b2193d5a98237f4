package deltafile

import "io"

// FullWriter writes a full copy: a dump of known size in its frame.
type FullWriter struct{ w io.Writer }

// NewFullWriter writes the frame's head. nlines and nbytes are those of the dump, its header
// line included.
func NewFullWriter(w io.Writer, base State, nlines, nbytes int64) (*FullWriter, error) {
	return nil, errNotBuilt
}

// Write takes bytes of the dump.
func (w *FullWriter) Write(p []byte) (int, error) { return 0, errNotBuilt }

// Close writes the end line; it fails if the dump was not as announced.
func (w *FullWriter) Close() error { return errNotBuilt }

// FullRoom is how much room SealFull needs before the dump.
const FullRoom = 8192

// SealFull frames a dump that already stands in f at [FullRoom, FullRoom+nbytes), without
// copying it: the frame then is [start, start+size).
func SealFull(f interface {
	io.ReaderAt
	io.WriterAt
}, base State, nlines, nbytes int64) (start, size int64, err error) {
	return 0, 0, errNotBuilt
}

// FullReader reads the dump out of a frame; its Read returns io.EOF only after count, size
// and digest have been verified.
type FullReader struct {
	Base           State
	NLines, NBytes int64
}

// ReadFull reads the frame's head.
func ReadFull(r io.Reader) (*FullReader, error) { return nil, errNotBuilt }

func (r *FullReader) Read(p []byte) (int, error) { return 0, errNotBuilt }
