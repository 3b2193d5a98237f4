package wire

// Point is a state of a realm's history: after change Serial of Epoch, with Hash as the value
// of the hash chain there. Epoch 0 is a database that waits for its first snapshot.
type Point struct {
	Epoch  uint64
	Serial uint64
	Hash   [32]byte
}

// Role says which end of the conversation the sender of a Hello wants to be. It does not follow
// from who dialled.
type Role uint8

// The two roles.
const (
	Feeder Role = 1 // has the changes: krep
	Slave  Role = 2 // wants them: krepd
)

// Hello is the first message in either direction. The conversation uses the highest version
// that both ranges hold; without one the receiver answers with an Error and ends.
type Hello struct {
	MinVersion, MaxVersion uint16
	Role                   Role
	WantSnapshot           bool   // slave: what it has cannot be continued from; Reason says why
	Point                  Point  // feeder: the end of its delta file; slave: what it has spooled durably
	Applied                uint64 // slave: serial its database has, of Point.Epoch; feeder: 0
	Realm                  string
	Reason                 string // for people
}

// Records carries a piece of the delta file: the concatenation of Data of all Records of a
// conversation are the bytes of the changesets that follow the slave's Point, each from its
// begin line to its end line, as they were hashed. A changeset may span messages.
type Records struct {
	Last uint64 // the last serial the feeder had when it sent this
	Data []byte // 1 to MaxData octets
}

// Ack is sent by the slave whenever one of its positions has moved.
type Ack struct {
	Epoch   uint64
	Spooled uint64 // on stable storage in the spool, or in the database
	Applied uint64 // committed in the database
}

// SnapshotBegin announces a full copy: a file of the form of dump-format "full copies" (the
// base, the dump, the hash) of Size octets follows in chunks. Base is the state it holds.
type SnapshotBegin struct {
	Base Point
	Size uint64
}

// SnapshotChunk is a piece of the full copy. Offset is how many octets came before.
type SnapshotChunk struct {
	Offset uint64
	Data   []byte // 1 to MaxData octets
}

// SnapshotEnd follows the last chunk and repeats the Size. The slave answers with the same once the
// copy is in its database, or with an Error. Acks that it sends before say nothing.
type SnapshotEnd struct {
	Size uint64
}

// Heartbeat is sent by both sides when nothing else was for a while, and whenever a digest can
// be compared. Serial and Digest belong together: the digest of the content after Serial.
type Heartbeat struct {
	Epoch     uint64
	Serial    uint64 // feeder: of its database; slave: applied
	HasDigest bool   // false: Digest is zero, the sender has no database to take it from
	Digest    [32]byte
}

// Reason classifies an Error.
type Reason uint16

// Reasons of an Error.
const (
	ReasonVersion   Reason = iota + 1 // no common version
	ReasonRealm                       // another realm
	ReasonRole                        // both sides want to be the same
	ReasonBroken                      // slave: record Serial cannot be applied; wants a snapshot
	ReasonDiverged                    // slave: its content differs at Serial; wants a snapshot
	ReasonSnapshot                    // slave: the snapshot was refused, its database is as before; feeder: none can be made
	ReasonChain                       // slave: a record did not continue what it has
	ReasonInternal                    // the sender cannot go on, for a reason of its own
	ReasonDisplaced                   // slave: another feeder has taken the place of this one; Text names it
	maxReason       = ReasonDisplaced
)

var reasonNames = [...]string{"", "version", "realm", "role", "broken", "diverged", "snapshot", "chain", "internal", "displaced"}

func (r Reason) String() string {
	if r >= 1 && r <= maxReason {
		return reasonNames[r]
	}
	return "unknown"
}

// Error tells the other side why it will get nothing more, or, for ReasonBroken, that the slave
// stands still at Serial.
type Error struct {
	Reason Reason
	Serial uint64 // 0: of no particular record
	Text   string // for people
}

// Bye ends a conversation in order: nothing is wrong.
type Bye struct {
	Text string // for people
}
