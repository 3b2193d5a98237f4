package scenario

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"krealm/internal/krbcrypto"
	"krealm/internal/stream/streamtest"
)

// childEnv, when it is set, makes this program a slave and nothing else.
const childEnv = "SCENARIO_SLAVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child is a slave's host in a process of its own, to be killed.
func child(dir string) int {
	key, err := hex.DecodeString(os.Getenv("SCENARIO_KEY"))
	if err != nil {
		return 2
	}
	k, err := krbcrypto.NewKey(krbcrypto.ETypeAES256SHA1, key)
	if err != nil {
		return 2
	}
	s := &slave{dir: dir, name: "child", id: slaveID("child"), addr: os.Getenv("SCENARIO_ADDR"), beat: heartbeat,
		realm: streamtest.NewRealm(realmName), allow: []string{masterID}}
	s.realm.SetKey(s.id, k)
	if err := s.run(zerolog.New(os.Stderr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("ready")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() { // ends with its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop <- syscall.SIGTERM
	}()
	<-stop
	s.stop()
	return 0
}
