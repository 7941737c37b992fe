package mesh

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/gremesh/gremesh/bridge/probe"
)

// ForgetHow says how a host is forgotten.
type ForgetHow string

// Ways to forget a host.
const (
	ForgetAgreed ForgetHow = ""      // when a majority of the holders agrees, the host itself counted as silent
	ForgetForced ForgetHow = "force" // on this host only, when no majority can agree
	ForgetPurge  ForgetHow = "purge" // erase what a bad record has left on this host
)

// Forgotten is a host that is to be forgotten, and how far that has come.
type Forgotten struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"`
	Underlay netip.Addr   `json:"underlay"`
	Subnet   netip.Prefix `json:"subnet"`    // zero: it has none
	LastSeen time.Time    `json:"last_seen"` // by this host; zero: never
	Already  bool         `json:"already"`   // it was forgotten before, or has given up its subnet
	Forced   bool         `json:"forced"`    // on this host only
	// Why says why a removal by consent is not possible now; empty: nothing is
	// known to stand against it.
	Why string `json:"why,omitempty"`
}

// Carries reports whether the tunnel to a host carries packets: its BFD session
// was up in the last pass, or its docker0 answers probes, which its kernel does
// without an agent, without BFD, and on the kernel's datapath also without
// ovs-vswitchd.
func (l *Loop) Carries(id string) bool {
	port, ok := l.last.Load().port(id)
	if !ok {
		return false
	}
	if works(&port) && port.BFD.State == "up" {
		return true
	}
	return l.cfg.Prober != nil && port.Peer.Subnet.IsValid() && l.cfg.Prober.Path(bipOf(&port.Tunnel)).State == probe.Up
}

// getForget answers with the host that a command line means, before anybody is
// asked to confirm anything.
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
