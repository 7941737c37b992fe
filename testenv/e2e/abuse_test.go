package e2e

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// garbageDoesNoHarm sends random bytes to the gossip port, by UDP and TCP from
// another host, and to the control socket.
func garbageDoesNoHarm(t *testing.T, l *testenv.Lab) {
	h1, h4 := l.Host(1), l.Host(4)
	pid, err := h1.AgentPID()
	must(t, err)
	dir := t.TempDir()
	for _, size := range []int{1, 7, 100, 1400, 60000, 1 << 20} {
		// The first byte is the type of a message to memberlist: each has its turn.
		for kind := range 16 {
			text := make([]byte, size)
			_, _ = rand.Read(text) // never fails
			text[0] = byte(kind)
			file := filepath.Join(dir, fmt.Sprintf("%d-%d", size, kind))
			must(t, os.WriteFile(file, text, 0o600))
			if kind > 0 && size == 1<<20 {
				continue
			}
			garble(t, h1.Dir+"/gremesh.sock", text)
		}
	}
	run(t, h4, "sh", "-c", fmt.Sprintf(`cd %s
		for f in *; do
			busybox nc -w 1 %[2]s 7946 <$f >/dev/null 2>&1 &
			head -c 1400 $f | busybox nc -u -w 1 %[2]s 7946 >/dev/null 2>&1 &
		done
		wait`, dir, h1.Addr))
	whole(t, l)
	audited(t, h1, 0)
	run(t, h1, "kill", "-0", fmt.Sprint(pid))
}

// garble writes to a control socket and goes, whatever is answered.
func garble(t *testing.T, socket string, text []byte) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "unix", socket)
	must(t, err)
	must(t, conn.SetDeadline(time.Now().Add(time.Second)))
	_, _ = conn.Write(text) // it may well be hung up on
	must(t, conn.Close())
}
