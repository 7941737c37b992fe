package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// binary is gremesh, which is built with the race detector, once for all labs.
// It is empty on a machine that can't run a lab: there every test skips or fails.
var binary string

var gremesh = flag.String("gremesh", "", "the binary to run; empty: built with the race detector")

// claims is for processes that share the tests among them: each test is run by
// the first that comes to it.
var claims = flag.String("claims", "", "a `folder` of processes that share the tests; empty: this one runs all")

// atOnce bounds the labs that are up at the same time.
var atOnce = make(chan struct{}, 2)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (int, error) {
	flag.Parse()
	if testenv.Check(false) != nil {
		return m.Run(), nil
	}
	// The race detector would have every command of gremesh sleep a second at
	// its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "gm-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if binary = *gremesh; binary == "" {
		if binary, err = testenv.Build(context.Background(), dir); err != nil {
			return 0, err
		}
	}
	defer tellLeftOut(os.Stdout)
	return m.Run(), nil
}

// start makes a lab for a parallel test. Its agents are not started.
func start(t *testing.T, cfg testenv.Config) *testenv.Lab {
	t.Helper()
	t.Parallel()
	atOnce <- struct{}{}
	t.Cleanup(func() { <-atOnce }) // after the lab's removal
	claim(t)
	cfg.Binary = binary
	return testenv.Start(t, cfg)
}

// claim skips a test that another process has begun.
func claim(t *testing.T) {
	t.Helper()
	if *claims == "" {
		return
	}
	err := os.Mkdir(filepath.Join(*claims, t.Name()), 0o755)
	if errors.Is(err, os.ErrExist) {
		t.Skip("another guest runs it")
	}
	must(t, err)
}

// startMesh makes a lab whose hosts have formed a full mesh.
func startMesh(t *testing.T, cfg testenv.Config, settings map[string]any) *testenv.Lab {
	t.Helper()
	l := start(t, cfg)
	must(t, l.Form(settings))
	must(t, l.StartAgents(t.Context()))
	whole(t, l)
	noRaces(t, l)
	return l
}

// behaviour is tested in a lab that it shares with others, and leaves the mesh
// as it found it unless it is the last.
type behaviour struct {
	name string
	test func(*testing.T, *testenv.Lab)
}

// inTurn tests behaviours until one fails: the lab is not to be trusted then.
func inTurn(t *testing.T, l *testenv.Lab, behaviours ...behaviour) {
	t.Helper()
	for _, b := range behaviours {
		if !t.Run(b.name, func(t *testing.T) { b.test(t, l) }) {
			return
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
