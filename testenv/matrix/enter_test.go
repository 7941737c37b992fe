package matrix

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
)

// entered runs a script in a room whose root is this machine's.
func entered(t *testing.T, in room, script string) string {
	t.Helper()
	testenv.Require(t, false)
	out, err := in.command(t.Context(), "folder", "sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRoomIsLikeAMachineOfItsOwn(t *testing.T) {
	source := t.TempDir()
	if err := os.Mkdir(filepath.Join(source, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := room{root: "/", source: source, bin: t.TempDir()}
	for _, tc := range []struct{ what, script, want string }{
		{"the command is in the suite's folder", "pwd", "/src/folder"},
		{"the source is not written to", "touch /src/x 2>/dev/null || echo refused", "refused"},
		{"changes of the root are lost", "touch /etc/gremesh-matrix-test && echo made", "made"},
		{"and were", "ls /etc/gremesh-matrix-test 2>/dev/null || echo lost", "lost"},
		{"the results are kept", "echo result >/out/result; cat /out/result", "result"},
		{"processes are its own", "ls -d /proc/[0-9]* | wc -l | { read -r n; [ $n -lt 10 ] && echo few; }", "few"},
		{"namespaces are its own", "ip netns add gm-matrix-test; ip netns list", "gm-matrix-test"},
		// Of a chroot it is a folder of the machine's root.
		{"its root is that of its mount namespace", "nsenter --target $$ --mount pwd", "/"},
		{"Docker's client asks for its own version", "echo ${DOCKER_API_VERSION-none}", "none"},
		{"nothing of the machine's environment is in it", "echo ${OVS_RUNDIR-none}", "none"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Setenv("OVS_RUNDIR", "/machine")
			if got := entered(t, in, tc.script); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if _, err := os.Stat("/etc/gremesh-matrix-test"); err == nil {
		t.Error("the machine's root was written to")
	}
	if _, err := os.Stat("/run/netns/gm-matrix-test"); err == nil {
		t.Error("a namespace was left on the machine")
	}
}

func TestRoomTakesADockerdAndFlags(t *testing.T) {
	source, dockerd := t.TempDir(), filepath.Join(t.TempDir(), "dockerd")
	if err := os.Mkdir(filepath.Join(source, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dockerd, []byte("#!/bin/sh\necho another dockerd\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	testenv.Require(t, true)
	in := room{root: "/", source: source, bin: t.TempDir(), dockerd: dockerd, cell: Cell{Flags: "--firewall-backend=nftables", API: "1.52"}}
	if got := entered(t, in, `dockerd; echo "$TESTENV_DOCKERD_FLAGS $DOCKER_API_VERSION"`); got != "another dockerd\n--firewall-backend=nftables 1.52" {
		t.Errorf("got %q", got)
	}
}
