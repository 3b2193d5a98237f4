package interop

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to change a database behind its back
)

// TestMasterChangedByHand: somebody deletes a row of the master's database with sqlite3. A slave that
// then gets a full copy has what the master has, is not sent copies without end because the master's
// digest is another one, and krep says what is wrong; dump and load mend it for all.
func TestMasterChangedByHand(t *testing.T) {
	ctx, x := startReplicating(t, "slave1", "slave2")
	db, err := sql.Open("sqlite", x.Master.SQLite())
	check(t, err)
	result := must(db.ExecContext(ctx, "DELETE FROM principal WHERE name LIKE 'anna.albers@%'"))(t)
	if n := must(result.RowsAffected())(t); n != 1 {
		t.Fatalf("%d rows", n)
	}
	check(t, db.Close())
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -randkey after-that")
	must(x.Master.Must(ctx, "", "krep", "resync", fmt.Sprintf("127.0.0.1:%d", x.Slaves[0].KrepdPort)))(t)
	says(ctx, t, x.krepds[0], "full copy loaded")
	<-time.After(7 * time.Second) // more than a heartbeat with a digest
	kadmin(ctx, t, x.Realm, "addprinc -clearpolicy -randkey and-that")
	x.caughtUp(ctx, t)
	if n := strings.Count(x.krepds[0].Log(), "full copy loaded"); n > 4 {
		t.Errorf("%d full copies", n)
	}
	status := must(x.Master.Run(ctx, "", "krep", "status"))(t)
	if status.Status != 2 || !strings.Contains(status.Stdout, "changed behind its back") {
		t.Errorf("status %d:\n%s", status.Status, status.Stdout)
	}
	succeeds(t, must(ours(ctx, x.Master, "kdb5_util", "load", dumpOfMaster(ctx, t, x.Realm)))(t), nil)
	x.caughtUp(ctx, t)
	x.equal(ctx, t)
	if status = must(x.Master.Run(ctx, "", "krep", "verify"))(t); status.Status != 0 {
		t.Errorf("verify: %d\n%s%s", status.Status, status.Stdout, status.Stderr)
	}
	if status = must(x.Master.Run(ctx, "", "krep", "status"))(t); status.Status != 0 {
		t.Errorf("status: %d\n%s", status.Status, status.Stdout)
	}
}
