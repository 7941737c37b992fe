package testenv

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is one thing that goes wrong on a host: what a person, another
// program, a crash or the network does to it.
type Fault struct {
	Name  string
	Uses  Part // what it takes hold of until it ends
	Whole bool // it concerns the lab as a whole, whichever host it is drawn for
	Takes bool // bridges go, and with them what others have on them
	// Reported are words of a problem that the host's status has while the fault
	// lasts; empty: it is repaired without one.
	Reported string
	// Break does the damage. What it is to break may be broken already, where
	// other faults are at work on the host: then it returns an error.
	Break func(context.Context, Strike) error
	// End ends the fault. It is nil where there is nothing to end: the damage
	// stays until it is repaired.
	End func(context.Context, Strike) error
}

// Part is a set of what a fault takes hold of.
type Part uint8

// The parts of a host that two faults cannot hold at once.
const (
	Agent Part = 1 << iota
	Switch
	Docker
	Underlay
)

// Strike is a fault that befalls a host.
type Strike struct {
	Fault
	Host *Host
	// Moment is what there is to choose in a fault: when within a pass an agent
	// dies, which of the tunnels is hit. 0 to 300 ms.
	Moment time.Duration
}

// Told waits until the host's status reports the fault, if it is one that is
// reported, or until ctx ends.
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

// Clashes tells that two strikes can't be at work at once.
func (s Strike) Clashes(t Strike) bool {
	return s.Uses&t.Uses != 0 && (s.Host == t.Host || s.Whole || t.Whole)
}

// Faults is the catalogue, in an order that stays. With docker it has those
// that need a dockerd. That of the underlay's address needs an agent whose
// node.advertise is the interface.
func Faults(docker bool) []Fault {
	all := slices.Concat(switchFaults(), bridgeFaults(), serviceFaults(), underlayFaults(), agentFaults())
	if docker {
		all = append(all, dockerFaults()...)
	}
	return all
}

// commands is a Break or an End that runs one command after the other.
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
