package api

import (
	"net/netip"

	"github.com/gremesh/gremesh/mesh"
)

// UninstallPlan is the content of the plan that `gremesh uninstall` shows.
type UninstallPlan struct {
	GivesUp netip.Prefix `json:"gives_up"`          // the subnet that this host gives up; zero if none
	Damaged string       `json:"damaged,omitempty"` // why it is unknown whether the host has a subnet
	Agent   bool         `json:"agent"`             // an agent runs
	State   string       `json:"state,omitempty"`   // the directory to remove
	mesh.UninstallPlan
}

// IsEmpty reports whether nothing of gremesh is on the host.
func (p UninstallPlan) IsEmpty() bool {
	return p.State == "" && !p.GivesUp.IsValid() && !p.Agent && len(p.Changes)+len(p.Problems) == 0
}
