package filter

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// inotify(7): a user may have so many instances, and a process so many files.
func TestAFileIsReadAlsoWhereItCannotBeWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ip-masq-agent")
	f := OpenFile(path)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 3 // of which none is free
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	var over error
	select {
	case over = <-ended:
	case <-f.Changed(): // it can't be read now either
	case <-time.After(10 * time.Second):
		over = os.ErrDeadlineExceeded
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || over != nil {
		cancel()
		t.Fatal(err, over)
	}
	if err := os.WriteFile(path, []byte("masqLinkLocal: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); !f.State().Config.KeepLinkLocal; {
		if time.Now().After(deadline) {
			t.Fatal("it is not read")
		}
		<-f.Changed()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
