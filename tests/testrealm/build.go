package testrealm

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build builds kdc, krep and krepd into dir; module is the top of the tree. With race the programs
// carry the race detector.
func Build(ctx context.Context, module, dir string, race bool) error {
	if race {
		return build(ctx, module, dir, "-race")
	}
	return build(ctx, module, dir)
}

func build(ctx context.Context, module, dir string, flags ...string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./kdc", "./krep", "./krepd")...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("testrealm: go build: %w\n%s", err, out)
	}
	return nil
}
