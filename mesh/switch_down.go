package mesh

import (
	"errors"

	"github.com/gremesh/gremesh/bridge/docker"
	"github.com/gremesh/gremesh/ovsdb"
)

// States of Open vSwitch in HostStatus.
const (
	ovsUp   = "up"
	ovsDown = "down"
)

// ovsState returns the state of Open vSwitch as a pass observed it.
func ovsState(seen bool, ovs ovsdb.State) string {
	if !seen || ovs.Down != "" {
		return ovsDown
	}
	return ovsUp
}

// switchDown returns a problem if ovs-vswitchd does not run or does not answer.
// Until it is back, the database says nothing about the tunnels.
func switchDown(ovs ovsdb.State) []Problem {
	if ovs.Down == "" {
		return nil
	}
	return []Problem{{
		What: ovs.Down + ": packets to other hosts can be lost, and the state of the tunnels is unknown",
		Do:   ovsdb.RestartCommand,
	}}
}

// problemOf returns an error as a problem. If a component is down, the problem
// contains the command that starts it.
func problemOf(err error) Problem {
	if down, is := errors.AsType[*ovsdb.DownError](err); is {
		return Problem{What: down.What, Do: down.Do}
	}
	if trouble, is := errors.AsType[*docker.Trouble](err); is {
		return troubled(trouble)
	}
	return Problem{What: err.Error()}
}
