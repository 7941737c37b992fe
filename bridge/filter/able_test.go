package filter

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What nft 1.0.6 says on Linux 6.1 without the ip family, and without nf_tables.
const (
	noFamily = `Error: Could not process rule: Operation not supported
add table FAMILY gremesh; add chain FAMILY gremesh
^^^^^^^^^^^^^^^^^^^^^`
	noKernel = "mnl.c:60: Unable to initialize Netlink socket: Protocol not supported"
)

// withNft has the tests' nft say what another kernel would, where its arguments
// are like that; for all others it is the real one.
func withNft(t *testing.T, arguments, says string) {
	t.Helper()
	real, err := exec.LookPath("nft")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\ncase \"$*\" in " + arguments + ") cat >&2 <<'END'\n" + says + "\nEND\nexit 1;; esac\nexec " + real + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestAFamilyThatTheKernelLacksIsNoDifference(t *testing.T) {
	want := wanted()
	want.Quiet = "br0"
	for _, family := range []string{"ip", "bridge"} {
		t.Run(family, func(t *testing.T) {
			l := filters(t)
			t.Run("lacking", func(t *testing.T) {
				withNft(t, `"-c "*"add table `+family+` "*`, strings.ReplaceAll(noFamily, "FAMILY", family))
				for range 2 {
					have, err := l.Observe(t.Context())
					if err != nil || !slices.Equal(have.MissingFamilies, []string{family}) {
						t.Fatalf("lacks %v, %v", have.MissingFamilies, err)
					}
					changes := Diff(want, have)
					if plan := render(changes); strings.Contains(plan, "table "+family+" ") {
						t.Errorf("to do:\n%s", plan)
					}
					if err := l.Apply(t.Context(), changes); err != nil {
						t.Error(err)
					}
				}
			})
			have, err := l.Observe(t.Context())
			if err != nil || !slices.Equal(have.MissingFamilies, []string{family}) {
				t.Errorf("a moment later it lacks %v, %v", have.MissingFamilies, err)
			}
			l.now = func() time.Time { return time.Now().Add(askAgain) }
			l.reach(want) // the module was loaded
			l.reach(Rules{})
		})
	}
}

// TestAFamilyThatTheKernelLacksIsSeldomAskedFor counts the questions: of a new
// host one is about all families, and one about this one.
func TestAFamilyThatTheKernelLacksIsSeldomAskedFor(t *testing.T) {
	l := filters(t)
	asked := filepath.Join(t.TempDir(), "asked")
	const question = `"-c "*"add table inet "*`
	withNft(t, question+") echo asked >>"+asked+`;; esac; case "$*" in `+question, strings.ReplaceAll(noFamily, "FAMILY", "inet"))
	const other = "nft add table ip other; nft delete table ip other"
	began := time.Now()
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {time.Second, 2}, {askAgain - time.Second, 2}, {askAgain, 3}, {askAgain + time.Second, 3}} {
		l.now = func() time.Time { return began.Add(step.after) }
		for _, change := range []string{other, "true"} {
			l.sh(change)
			if have, err := l.Observe(t.Context()); err != nil || !slices.Equal(have.MissingFamilies, []string{"inet"}) {
				t.Fatalf("after %s: lacks %v, %v", step.after, have.MissingFamilies, err)
			}
		}
		text, _ := os.ReadFile(asked)
		if got := strings.Count(string(text), "asked"); got != step.want {
			t.Errorf("after %s: asked %d times, want %d", step.after, got, step.want)
		}
	}
}

func TestAMachineWithoutNftOrAKernelForItSaysSo(t *testing.T) {
	l := filters(t)
	t.Run("kernel", func(t *testing.T) {
		withNft(t, "*", noKernel)
		if _, err := l.Observe(t.Context()); !errors.Is(err, ErrUnable) || !strings.Contains(err.Error(), "CONFIG_NF_TABLES") {
			t.Error(err)
		}
	})
	t.Run("nft", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := l.Observe(t.Context()); !errors.Is(err, ErrUnable) || !strings.Contains(err.Error(), "install nftables") {
			t.Error(err)
		}
	})
}

// TestAnNftThatIsTooSlowIsNamedInOneLine has a machine so busy that nft does not
// end in time.
func TestAnNftThatIsTooSlowIsNamedInOneLine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nft"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := check(ctx, ourTables(sample)...)
	if want := "nft -c add table ip gremesh …: context deadline exceeded"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is not a deadline", err)
	}
}
