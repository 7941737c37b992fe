package matrix

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed root.sh
var rootScript []byte

//go:embed enter.sh
var enterScript []byte

//go:embed dockerd.mod
var dockerdModule []byte

const (
	dockerdModfile = "testenv/matrix/dockerd.mod"
	dockerdPackage = "github.com/moby/moby/v2/cmd/dockerd"
)

// root returns the path of a release's root file system. If the cache lacks it,
// root makes it, which takes 90 s and 0.5 GB. The log is beside it.
func (r *runner) root(ctx context.Context, suite string) (string, error) {
	return cached(r.Cache, suite+"-"+recipeHash(rootScript), func(path string) error {
		r.say("making the root file system of Debian %s", suite)
		return r.logged(path+".log", exec.CommandContext(ctx,
			"unshare", "--mount", "--propagation", "private", "bash", "-c", string(rootScript), "root.sh", suite, path))
	})
}

// dockerd returns the path of a dockerd that reports the given version. If the
// cache lacks it, dockerd builds it, which takes 4 minutes.
func (r *runner) dockerd(ctx context.Context, version string) (string, error) {
	flags := []string{
		"build", "-modfile=" + dockerdModfile, "-trimpath",
		"-tags", "exclude_graphdriver_btrfs no_btrfs netgo osusergo", // the excluded parts need C libraries
		"-ldflags", "-s -w -X github.com/moby/moby/v2/dockerversion.Version=" + version,
	}
	name := "dockerd-" + recipeHash(dockerdModule, []byte(strings.Join(flags, " ")))
	return cached(r.Cache, name, func(path string) error {
		r.say("building dockerd %s", version)
		return r.logged(path+".log", r.static(ctx, append(flags, "-o", path, dockerdPackage)...))
	})
}

// binaries builds gremesh and the suites' tests into dir. They are static,
// because they run with other C libraries than this machine's.
func (r *runner) binaries(ctx context.Context, dir string) error {
	builds := [][]string{{"build", "-o", filepath.Join(dir, "gremesh"), "./cmd/gremesh"}}
	for _, s := range r.suites {
		builds = append(builds, []string{"test", "-c", "-o", filepath.Join(dir, s.binary()), "./" + s.Folder})
	}
	for _, argv := range builds {
		if err := r.logged(filepath.Join(dir, "build.log"), r.static(ctx, argv...)); err != nil {
			return err
		}
	}
	return nil
}

// static returns a go command without cgo that runs in the module's root.
func (r *runner) static(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", argv...)
	cmd.Dir = r.Source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// logged runs cmd and writes its output to a file. An error contains the end of
// the output.
func (r *runner) logged(file string, cmd *exec.Cmd) error {
	log, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(file) // only the error of cmd matters
		return fmt.Errorf("%w; the end of %s:\n%s", err, file, text[max(0, len(text)-2000):])
	}
	return nil
}
