package kernel

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// onOneProcessor has what start starts, from this locked thread, run on one of
// the processors that this process may use. The guest's kernel and the process
// that it runs are two of the machine's, of which one always waits for the
// other: on two processors a guest takes a fifth more time. Guests side by side
// have different places.
func onOneProcessor(place int, start func() error) error {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	left := (os.Getpid() + place) % all.Count() // those of other processes are spread, too
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
