package testenv

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is a failure of a host that a person, another program, a crash or the
// network causes.
type Fault struct {
	Name  string
	Uses  Part // the parts that it occupies until it ends
	Whole bool // it concerns the whole lab, whichever host it is chosen for
	Takes bool // it deletes bridges, together with other programs' ports on them
	// Reported is a part of the problem that the host's status shows while the
	// fault lasts. If it is empty, gremesh repairs the fault without a problem.
	Reported string
	// Break causes the fault. If another fault on the host has already broken
	// the same object, Break returns an error.
	Break func(context.Context, Strike) error
	// End ends the fault. It is nil if there is nothing to end: the damage
	// stays until gremesh repairs it.
	End func(context.Context, Strike) error
}

// Part is a set of parts of a host that a fault occupies.
type Part uint8

// The parts of a host that two faults cannot use at the same time.
const (
	Agent Part = 1 << iota
	Switch
	Docker
	Underlay
)

// Strike is a fault that happens on a host.
type Strike struct {
	Fault
	Host *Host
	// Moment decides the choices within a fault, such as the time within a pass
	// when an agent dies, or the tunnel that is affected. It is 0 to 300 ms.
	Moment time.Duration
}

// Told waits until the host's status reports the fault, or until ctx ends. It
// returns at once if the fault is not reported.
func (s Strike) Told(ctx context.Context) error {
	if s.Reported == "" {
		return nil
	}
	return Until(ctx, func() error {
		status, err := s.Host.Status(ctx)
		if err != nil {
			return err
		}
		for _, p := range status.Problems {
			if strings.Contains(p.What, s.Reported) {
				return nil
			}
		}
		return fmt.Errorf("%s: no problem says %q: %+v", s.Host.Name, s.Reported, status.Problems)
	})
}

// Clashes reports whether two strikes cannot happen at the same time.
func (s Strike) Clashes(t Strike) bool {
	return s.Uses&t.Uses != 0 && (s.Host == t.Host || s.Whole || t.Whole)
}

// Faults returns all faults in a fixed order. With docker, it includes the
// faults that need a dockerd. The fault of the underlay address needs an agent
// whose node.advertise is the interface.
func Faults(docker bool) []Fault {
	all := slices.Concat(switchFaults(), bridgeFaults(), serviceFaults(), underlayFaults(), agentFaults())
	if docker {
		all = append(all, dockerFaults()...)
	}
	return all
}

// commands returns a Break or End function that runs the commands one after
// another.
func commands(lines ...[]string) func(context.Context, Strike) error {
	return func(ctx context.Context, s Strike) error {
		for _, argv := range lines {
			if _, err := s.Host.Exec(ctx, argv...); err != nil {
				return err
			}
		}
		return nil
	}
}
