package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var want = Settings{Bip: netip.MustParsePrefix("172.17.42.1/24"), MTU: 1462}

const written = "{\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462\n}\n"

// daemon is a Daemon on a daemon.json and a state directory of the test's.
func daemon(t *testing.T) *Daemon {
	t.Helper()
	if _, err := dockerds(); errors.Is(err, fs.ErrPermission) {
		needRoot(t) // to look at the machine's own dockerd
	}
	version(t, "of nobody knows") // the machine's own dockerd is none of the tests' business
	dir := t.TempDir()
	return New(Config{
		Path:     filepath.Join(dir, "docker", "daemon.json"),
		StateDir: filepath.Join(dir, "state"),
		Socket:   "unix://" + filepath.Join(dir, "docker.sock"),
		Log:      slog.New(slog.DiscardHandler),
	})
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func plan(t *testing.T, d *Daemon, want Settings) []Change {
	t.Helper()
	have, err := d.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return Diff(want, have)
}

// reach applies want and checks that nothing is left to do.
func reach(t *testing.T, d *Daemon, want Settings) {
	t.Helper()
	if err := d.Apply(t.Context(), plan(t, d, want)); err != nil {
		t.Fatal(err)
	}
	if again := plan(t, d, want); len(again) != 0 {
		t.Fatalf("a second pass would still change %v", again)
	}
}

func TestDiffSaysWhatIsAndWhatShouldBe(t *testing.T) {
	for _, tt := range []struct {
		name string
		want Settings
		have State
		plan []string
	}{
		{"as it should be", want, State{Bip: "172.17.42.1/24", MTU: 1462}, nil},
		{"nothing set", want, State{}, []string{
			"daemon.json bip: is missing, should be 172.17.42.1/24",
			"daemon.json mtu: is missing, should be 1462"}},
		{"other values", want, State{Bip: "172.17.0.1/16", MTU: 1500}, []string{
			"daemon.json bip: is 172.17.0.1/16, should be 172.17.42.1/24",
			"daemon.json mtu: is 1500, should be 1462"}},
		{"nothing wanted", Settings{}, State{Bip: "172.17.0.1/16"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Diff(tt.want, tt.have) {
				got = append(got, c.String())
			}
			if d := cmp.Diff(tt.plan, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestApplyMakesAMissingFile(t *testing.T) {
	d := daemon(t)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	reach(t, d, want)
	if got := content(t, d.cfg.Path); got != written {
		t.Errorf("got %q", got)
	}
	if fi, err := os.Stat(d.cfg.Path); err != nil || fi.Mode() != 0o644 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	s, err := d.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&former{Path: d.cfg.Path, MadeDir: true}, s.Former); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(d.cfg.StateDir, backupFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a backup of no file: %v", err)
	}
}

func TestApplyWritesNothingWhenNothingChanges(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, written)
	before, err := os.Stat(d.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(want, State{}) // as if the file had changed since
	if err := d.Apply(t.Context(), changes); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(d.cfg.Path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was replaced: %v", err)
	}
	if _, err := os.Stat(d.cfg.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a state was written: %v", err)
	}
}

func TestBackupIsOfTheFirstWriteOnly(t *testing.T) {
	d := daemon(t)
	const first = `{ "mtu":9000, "bip": "10.0.0.1/8", "n": 9007199254740993 }`
	put(t, d.cfg.Path, first)
	reach(t, d, want)
	reach(t, d, Settings{Bip: netip.MustParsePrefix("172.17.43.1/24"), MTU: 1458})
	if got := content(t, filepath.Join(d.cfg.StateDir, backupFile)); got != first {
		t.Errorf("backup %q", got)
	}
	s, err := d.load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&former{Path: d.cfg.Path, Existed: true, Values: Values{Bip: "10.0.0.1/8", MTU: 9000}}, s.Former); diff != "" {
		t.Error(diff)
	}
	if got := content(t, d.cfg.Path); got != `{ "mtu":1458, "bip": "172.17.43.1/24", "n": 9007199254740993 }` {
		t.Errorf("got %s", got)
	}
}

func TestMalformedFileIsLeftAsItIs(t *testing.T) {
	for _, bad := range []string{"{\n  \"a\": 1,,\n}", "[]", "null", "{} x", "\xef\xbb\xbf{}", `{"bip": 1}`} {
		d := daemon(t)
		put(t, d.cfg.Path, bad)
		_, err := d.Observe(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), d.cfg.Path+": line ") {
			t.Errorf("%q observed: %v", bad, err)
		}
		err = d.Apply(t.Context(), Diff(want, State{}))
		if err == nil || !strings.HasPrefix(err.Error(), d.cfg.Path+": line ") {
			t.Errorf("%q applied: %v", bad, err)
		}
		if got := content(t, d.cfg.Path); got != bad {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestSymbolicLinksStay(t *testing.T) {
	for name, links := range map[string]map[string]string{ // link: what it contains
		"a link":                {"docker/daemon.json": "../conf/real.json"},
		"an absolute link":      {"docker/daemon.json": "ROOT/conf/real.json"},
		"a chain":               {"docker/daemon.json": "a", "docker/a": "../conf/b", "conf/b": "real.json"},
		"a linked directory":    {"docker": "conf/d", "conf/d/daemon.json": "../real.json"},
		"through a link and ..": {"docker/daemon.json": "l/../real.json", "docker/l": "../conf/d"},
	} {
		for _, dangling := range []bool{false, true} {
			if dangling {
				name += ", dangling"
			}
			t.Run(name, func(t *testing.T) {
				d := daemon(t)
				root := filepath.Dir(filepath.Dir(d.cfg.Path))
				if err := os.MkdirAll(filepath.Join(root, "conf", "d"), 0o755); err != nil {
					t.Fatal(err)
				}
				for _, link := range []string{"docker", "docker/daemon.json", "docker/a", "docker/l", "conf/b", "conf/d/daemon.json"} {
					to, ok := links[link]
					if !ok {
						continue
					}
					link = filepath.Join(root, link)
					if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.Symlink(strings.Replace(to, "ROOT", root, 1), link); err != nil {
						t.Fatal(err)
					}
				}
				real := filepath.Join(root, "conf", "real.json")
				if !dangling {
					put(t, real, "{}\n")
				}
				reach(t, d, want)
				if fi, err := os.Lstat(real); err != nil || !fi.Mode().IsRegular() {
					t.Fatalf("the target: %v %v", fi, err)
				}
				if got := content(t, real); got != written {
					t.Errorf("got %q", got)
				}
				for link, to := range links {
					if got, err := os.Readlink(filepath.Join(root, link)); err != nil || got != strings.Replace(to, "ROOT", root, 1) {
						t.Errorf("%s leads to %q, %v", link, got, err)
					}
				}
			})
		}
	}
}

func TestALoopOfLinksIsAnError(t *testing.T) {
	d := daemon(t)
	put(t, filepath.Join(filepath.Dir(d.cfg.Path), "other"), "")
	if err := os.Symlink("daemon.json", d.cfg.Path); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Observe(t.Context()); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("Observe: %v", err)
	}
	if _, err := target(d.cfg.Path); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("target: %v", err)
	}
}

func TestOwnerAndModeStay(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	put(t, d.cfg.Path, "{}")
	if err := errors.Join(os.Chown(d.cfg.Path, 1234, 4321), os.Chmod(d.cfg.Path, 0o640)); err != nil {
		t.Fatal(err)
	}
	reach(t, d, want)
	fi, err := os.Stat(d.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	owner := fi.Sys().(*syscall.Stat_t)
	if fi.Mode() != 0o640 || owner.Uid != 1234 || owner.Gid != 4321 {
		t.Errorf("%v %d:%d", fi.Mode(), owner.Uid, owner.Gid)
	}
}

func TestLeftoversOfACrashDoNoHarm(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, "{}\n")
	half := filepath.Join(filepath.Dir(d.cfg.Path), ".daemon.json123")
	put(t, half, `{"bip": "172.`)
	put(t, filepath.Join(d.cfg.StateDir, backupFile), "{}\n") // backed up, but not recorded
	reach(t, d, want)
	if got := content(t, d.cfg.Path); got != written {
		t.Errorf("got %q", got)
	}
	if got := content(t, half); got != `{"bip": "172.` {
		t.Errorf("a file that may not be ours became %q", got)
	}
}

func TestADiskThatTakesNothingLeavesTheFileIntact(t *testing.T) {
	needRoot(t)
	for name, spoil := range map[string]string{
		"full":      "head -c 100000 /dev/zero > %/filler 2>/dev/null || true",
		"read-only": "mount -o remount,ro %",
	} {
		t.Run(name, func(t *testing.T) {
			d := daemon(t)
			dir := filepath.Dir(d.cfg.Path)
			sh(t, "mkdir "+dir+"; mount -t tmpfs -o size=12k tmpfs "+dir)
			t.Cleanup(func() { sh(t, "umount "+dir) })
			put(t, d.cfg.Path, `{"debug": true}`)
			sh(t, strings.ReplaceAll(spoil, "%", dir))
			if err := d.Apply(t.Context(), Diff(want, State{})); err == nil {
				t.Error("no error")
			} else {
				t.Log(err)
			}
			if got := content(t, d.cfg.Path); got != `{"debug": true}` {
				t.Errorf("the file became %q", got)
			}
			if left, _ := filepath.Glob(dir + "/.daemon.json*"); len(left) > 0 {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.CommandContext(context.Background(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// inside marks the test process that lives in namespaces of its own.
const inside = "GREMESH_DOCKER_TEST_NAMESPACE"

// TestMain runs the whole test binary anew in fresh network and mount
// namespaces: the machine's own dockerd is none of the tests' business.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "dockerd" {
		if err := standIn(os.Args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getuid() != 0 || os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests in namespaces:", err)
		os.Exit(1)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}
