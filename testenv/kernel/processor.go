package kernel

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// onOneProcessor calls start so that the processes that it starts run on only
// one processor. It chooses among the processors that this process may use. The
// caller must have locked the thread. The guest's kernel and the process that
// it runs are two processes of this machine, and one always waits for the
// other. On two processors a guest takes 20 % more time. Guests that run side
// by side have different places.
func onOneProcessor(place int, start func() error) error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	left := (os.Getpid() + place) % all.Count() // the process ID spreads the guests of different processes
	for cpu := 0; ; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		if left == 0 {
			one.Set(cpu)
			break
		}
		left--
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity: %w", err)
	}
	err := start()
	if restored := unix.SchedSetaffinity(0, &all); err == nil && restored != nil {
		err = fmt.Errorf("sched_setaffinity: %w", restored)
	}
	return err
}
