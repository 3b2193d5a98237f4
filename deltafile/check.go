package deltafile

// Report is what Check found.
type Report struct {
	Base, Last State
	Changesets int
	Lines      int64
	Size, Good int64 // file size; end of the last complete changeset
}

// Check reads a whole file and verifies it.
func Check(path string) (Report, error) { return Report{}, errNotBuilt }

// ReadAll reads a whole file into memory.
func ReadAll(path string) (base State, css []*Changeset, err error) {
	return State{}, nil, errNotBuilt
}
