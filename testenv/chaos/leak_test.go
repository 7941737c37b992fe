package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gremesh/gremesh/testenv"
)

// holdings are what a process has of the machine.
type holdings struct {
	pid, files, threads int
	memory              int // bytes of its own, resident
}

var rss = regexp.MustCompile(`(?m)^RssAnon:\s+(\d+) kB`)

func holdingsOf(h *testenv.Host) (holdings, error) {
	pid, err := h.AgentPID()
	if err != nil {
		return holdings{}, err
	}
	proc := fmt.Sprintf("/proc/%d", pid)
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return holdings{}, err
	}
	threads, err := os.ReadDir(filepath.Join(proc, "task"))
	if err != nil {
		return holdings{}, err
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return holdings{}, err
	}
	match := rss.FindSubmatch(status)
	if match == nil {
		return holdings{}, fmt.Errorf("no RssAnon in the status of process %d", pid)
	}
	kB, err := strconv.Atoi(string(match[1]))
	return holdings{pid, len(files), len(threads), kB << 10}, err
}

// What a connection that is just being made, or a collection that is due, may
// add.
const (
	fileSlack      = 6
	goroutineSlack = 6
	memorySlack    = 24 << 20
)

// noLeaks holds what an agent has against what it had before the last third.
func noLeaks(t *testing.T, before map[*testenv.Host]holdings) {
	t.Helper()
	for h, was := range before {
		testenv.Eventually(t, 10*time.Second, func() error {
			is, err := holdingsOf(h)
			switch {
			case err != nil:
				return err
			case is.pid != was.pid:
				return fmt.Errorf("the agent of %s has been restarted: process %d was %d", h.Name, is.pid, was.pid)
			case is.files > was.files+fileSlack:
				return fmt.Errorf("%s: open files were %d and are %d", h.Name, was.files, is.files)
			case is.memory > was.memory*3/2+memorySlack:
				return fmt.Errorf("%s: memory was %d MB and is %d MB", h.Name, was.memory>>20, is.memory>>20)
			}
			t.Logf("%s: open files %d, then %d; threads %d, %d; memory %d MB, %d MB",
				h.Name, was.files, is.files, was.threads, is.threads, was.memory>>20, is.memory>>20)
			return nil
		})
	}
}

// goroutines ends all agents in the way that makes them print their goroutines,
// and counts those.
func goroutines(ctx context.Context, l *testenv.Lab) (map[*testenv.Host]int, error) {
	counts := map[*testenv.Host]int{}
	for _, h := range l.Hosts() {
		before, err := h.AgentLog()
		if err != nil {
			return nil, err
		}
		_ = h.StopAgent(ctx, syscall.SIGQUIT) // it exits with 2
		after, err := h.AgentLog()
		if err != nil {
			return nil, err
		}
		counts[h] = strings.Count(after[len(before):], "\ngoroutine ")
	}
	return counts, nil
}
