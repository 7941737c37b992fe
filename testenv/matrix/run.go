package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gremesh/gremesh/testenv"
)

// Config selects what to run. All paths are absolute.
type Config struct {
	Source    string   // the module's root
	Cache     string   // see CacheDir
	Logs      string   // a folder for each suite's output, CELL/FOLDER.log; it must exist
	Cells     []string // names; none: all
	Folders   []string // of suites; none: all
	Run       string   // the tests to run, a regular expression
	Versioned bool     // without Run: only tests that depend on a version
	Stdout    io.Writer
}

// ErrFailed means that a test failed in some cell. Run returns it.
var ErrFailed = errors.New("tests failed")

// runner is a run of the matrix.
type runner struct {
	Config
	suites []Suite
	saying sync.Mutex // lets only one goroutine write to Stdout at a time
}

// Run runs the cells one after another. In a cell, the suites with labs run at
// the same time as the others. Run writes to cfg.Stdout: a line per suite, the
// output of each failed suite, and a table of the results. It needs root. A
// failed suite does not stop the run, but Run then returns ErrFailed at the
// end.
func Run(ctx context.Context, cfg Config) error {
	if os.Geteuid() != 0 {
		return errors.New("make a root file system: root is needed")
	}
	cells, err := Select(cfg.Cells)
	if err != nil {
		return err
	}
	r := &runner{Config: cfg}
	if r.suites, err = selectSuites(cfg.Folders); err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "gremesh-matrix-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	if err := r.binaries(ctx, bin); err != nil {
		return fmt.Errorf("build the tests: %w", err)
	}
	var results []cellResult
	for _, c := range cells {
		result, err := r.cell(ctx, c, bin)
		if err != nil {
			return fmt.Errorf("cell %s: %w", c.Name, err)
		}
		results = append(results, result)
	}
	_, err = io.WriteString(r.Stdout, "\n"+table(r.suites, results))
	if err == nil && anyFailed(results) {
		err = ErrFailed
	}
	return err
}

// selectSuites returns the suites in the given folders, or all suites if no
// folder is given.
func selectSuites(folders []string) ([]Suite, error) {
	if len(folders) == 0 {
		return Suites(), nil
	}
	var found []Suite
	for _, folder := range folders {
		n := len(found)
		for _, s := range Suites() {
			if s.Folder == folder {
				found = append(found, s)
			}
		}
		if len(found) == n {
			return nil, fmt.Errorf("no suite %q", folder)
		}
	}
	return found, nil
}

// say writes a line of progress.
func (r *runner) say(format string, args ...any) {
	r.saying.Lock()
	defer r.saying.Unlock()
	_, _ = fmt.Fprintf(r.Stdout, format+"\n", args...)
}

// cell makes a cell's parts and runs its suites.
func (r *runner) cell(ctx context.Context, c Cell, bin string) (cellResult, error) {
	result := cellResult{cell: c}
	root, err := r.root(ctx, c.Suite)
	if err != nil {
		return result, err
	}
	dockerd := ""
	if c.Docker != "" {
		if dockerd, err = r.dockerd(ctx, c.Docker); err != nil {
			return result, err
		}
	}
	in := room{cell: c, root: root, dockerd: dockerd, source: r.Source, bin: bin}
	logs := filepath.Join(r.Logs, c.Name)
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return result, err
	}
	versions, err := in.command(ctx, ".", "sh", "-c", versionsScript).Output()
	if err != nil {
		return result, fmt.Errorf("ask for the versions: %w", err)
	}
	result.versions = parseVersions(string(versions))
	r.say("%s: %s", c.Name, result.versions)
	// Labs mostly wait, so the other suites run at the same time. One goroutine
	// runs the suites with labs, and another runs the others.
	result.suites = make([]suiteResult, len(r.suites))
	var beside errgroup.Group
	for _, labs := range []bool{false, true} {
		beside.Go(func() (err error) {
			for i, s := range r.suites {
				if s.Labs != labs || err != nil {
					continue
				}
				result.suites[i], err = r.suite(ctx, in, s, filepath.Join(logs, strings.TrimSuffix(s.binary(), ".test")+".log"))
			}
			return err
		})
	}
	return result, errors.Join(beside.Wait(), ctx.Err())
}

// suite runs a suite. Failed tests are recorded in the result and are not an
// error.
func (r *runner) suite(ctx context.Context, in room, s Suite, file string) (suiteResult, error) {
	begin := time.Now()
	cmd := in.command(ctx, s.Folder, s.command("/out", r.Run, r.Versioned)...)
	ran := r.logged(file, cmd)
	output, err := os.ReadFile(file)
	if err != nil {
		return suiteResult{}, err
	}
	result := parseOutput(string(output))
	result.took = time.Since(begin)
	result.failed = ran != nil
	text := fmt.Sprintf("%s: %s: %s", in.cell.Name, s.Folder, result)
	if result.failed {
		text += fmt.Sprintf("\n%s: all of it is in %s\n%s", s.Folder, file, withoutPasses(string(output)))
	}
	r.say("%s", text)
	return result, nil
}

// room is a cell's root file system with everything that is mounted in it.
type room struct {
	cell                       Cell
	root, dockerd, source, bin string
}

// command returns a command that runs in a folder of the source.
func (in room) command(ctx context.Context, folder string, argv ...string) *exec.Cmd {
	// Each command has its own /tmp. Otherwise, because of the separate process
	// namespaces, the owner of a running lab would look like a killed process.
	tmp := filepath.Join(in.bin, "tmp", strings.ReplaceAll(folder, "/", "_"))
	_ = os.MkdirAll(tmp, 0o1777) // if this fails, enter.sh fails
	args := []string{"-c", string(enterScript), "enter.sh", in.root, in.source, tmp, in.bin, in.dockerd, folder}
	cmd := exec.CommandContext(ctx, "bash", append(args, argv...)...)
	cmd.Env = append(os.Environ(), testenv.FlagsVariable+"="+in.cell.Flags, "DOCKER_API_VERSION="+in.cell.API)
	return cmd
}
