package daemon

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASocketThatAKilledAgentLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "gremesh.sock")
	left, err := listenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another agent answers at "+path) {
		t.Errorf("two agents with one socket: %v", err)
	}
	left.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listenControl(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
}

func TestAFileInTheSocketsPlaceIsLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(t.Context(), path); err == nil || !strings.Contains(err.Error(), path+" is there, and is no socket") {
		t.Errorf("got %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "{}" {
		t.Errorf("the file has %q, %v", b, err)
	}
}

func TestMetricsAreNotServedWhereAnotherProgramListens(t *testing.T) {
	if l, err := listenMetrics(t.Context(), netip.AddrPort{}); l != nil || err != nil {
		t.Errorf("without an address: %v, %v", l, err)
	}
	other, err := listenMetrics(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close() //nolint:errcheck // a test's end
	at := other.Addr().String()
	_, err = listenMetrics(t.Context(), netip.MustParseAddrPort(at))
	if want := "metrics.listen: another program listens at " + at + "; stop it, or set another address"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestASocketThatCannotBeMadeIsAnErrorThatNamesTheKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/proc/gremesh", file, filepath.Join(file, "below")} { // procfs takes no files, from root either
		if _, err := listenControl(t.Context(), filepath.Join(dir, "gremesh.sock")); err == nil || !strings.HasPrefix(err.Error(), "control: ") {
			t.Errorf("%s: error is %v", dir, err)
		}
	}
}
