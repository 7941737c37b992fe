package mesh

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge/probe"
	"github.com/gremesh/gremesh/mesh/lease"
)

// ForgetHow selects how a host is forgotten.
type ForgetHow string

// Ways to forget a host.
const (
	ForgetAgreed ForgetHow = ""      // a majority of the holders must agree; the host itself counts as silent
	ForgetForced ForgetHow = "force" // on this host only, if no majority can agree
	ForgetPurge  ForgetHow = "purge" // erase the traces of a bad record on this host
)

// Forgotten describes a host to forget, and the progress of that.
type Forgotten struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`    // zero: it has none
	LastSeen time.Time    `json:"last_seen"` // by this host; zero: never
	Already  bool         `json:"already"`   // it was forgotten before, or has released its subnet
	Forced   bool         `json:"forced"`    // on this host only
	// Why is the reason why the mesh cannot agree now; empty: no reason is
	// known.
	Why string `json:"why,omitempty"`
}

// Carries reports whether the tunnel to a host carries packets. It does if its
// BFD session was up in the last pass, or if the docker0 of that host answers
// probes. The kernel there answers them without an agent and without BFD, and
// with the kernel's datapath also without ovs-vswitchd.
func (l *Loop) Carries(id string) bool {
	if port, ok := l.last.Load().port(id); ok && works(&port) && port.BFD.State == "up" {
		return true
	}
	if l.cfg.Prober == nil {
		return false
	}
	// The port is not needed: it is unknown while Open vSwitch does not answer.
	peer, ok := find(l.cfg.Membership.View().Peers, id)
	return ok && peer.Subnet.IsValid() && l.cfg.Prober.Path(lease.Bip(peer.Subnet).Addr()).State == probe.Up
}

// getForget returns the host that an argument on the command line means. The
// command shows it before it asks for a confirmation.
func (c Control) getForget(w http.ResponseWriter, r *http.Request) {
	found, err := c.Leases.FindForgotten(r.Context(), r.URL.Query().Get("host"))
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, found)
}

func (c Control) postForget(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	how := ForgetHow(query.Get("how"))
	if how != ForgetAgreed && how != ForgetForced && how != ForgetPurge {
		refuse(w, http.StatusBadRequest, "how: want force, purge, or nothing")
		return
	}
	done, err := c.Leases.Forget(r.Context(), query.Get("host"), how)
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, done)
}
