package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// used is what a process has used so far.
type used struct {
	cpu    time.Duration // user and system, of all its threads
	memory float64       // MB, resident
}

// usage reads what a process has used. It reads CPU time from schedstat of the
// threads, in nanoseconds, because stat counts ticks of 10 ms.
func usage(pid int) (used, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	threads, err := os.ReadDir(dir + "/task")
	if err != nil {
		return used{}, err
	}
	var u used
	for _, t := range threads {
		b, err := os.ReadFile(dir + "/task/" + t.Name() + "/schedstat")
		if os.IsNotExist(err) {
			continue // the thread has ended
		}
		if err != nil {
			return used{}, err
		}
		ns, _ := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		u.cpu += time.Duration(ns)
	}
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return used{}, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, is := strings.CutPrefix(line, "VmRSS:"); is {
			n, _ := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			u.memory = n / 1024
		}
	}
	return u, nil
}
