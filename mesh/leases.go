package mesh

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// Leases gives access to the lease table and to the operations of an operator
// on it.
type Leases interface {
	Leases(context.Context) ([]Lease, error)
	// FindForgotten returns the host that Forget would forget.
	FindForgotten(ctx context.Context, host string) (Forgotten, error)
	Forget(ctx context.Context, host string, how ForgetHow) (Forgotten, error)
	Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error)
}

// renumberTimeout bounds how long a request to renumber waits for a majority.
const renumberTimeout = 20 * time.Second

func (c Control) getLeases(w http.ResponseWriter, r *http.Request) {
	leases, err := c.Leases.Leases(r.Context())
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, http.StatusOK, leases)
}

func (c Control) postRenumber(w http.ResponseWriter, r *http.Request) {
	var to netip.Prefix
	if text := r.URL.Query().Get("to"); text != "" {
		var err error
		if to, err = netip.ParsePrefix(text); err != nil || to != to.Masked() {
			refuse(w, http.StatusBadRequest, "to: want a subnet such as 172.17.43.0/24")
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), renumberTimeout)
	defer cancel()
	subnet, err := c.Leases.Renumber(ctx, to)
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]netip.Prefix{"subnet": subnet})
}
