package mesh

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// secondLook is the delay before a second audit, if the first has findings. In
// that time agents correct their drift, and BFD comes up between two hosts that
// reach each other.
const secondLook = 2 * time.Second

// getMesh returns the findings that two audits have in common. With one=true it
// returns the findings of one audit, which include changes in progress.
func (c Control) getMesh(w http.ResponseWriter, r *http.Request) {
	one := false
	if text := r.URL.Query().Get("one"); text != "" {
		var err error
		if one, err = strconv.ParseBool(text); err != nil {
			refuse(w, http.StatusBadRequest, "one must be true or false")
			return
		}
	}
	audit, err := c.look(r.Context())
	if err == nil && !one && audit.Passing() && wait(r.Context(), secondLook) {
		first := audit
		if audit, err = c.look(r.Context()); err == nil {
			audit = Confirm(first, audit)
		}
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, "ask the hosts of the mesh: "+err.Error())
		return
	}
	answer(w, http.StatusOK, audit)
}

// look collects the rows of the other hosts and, at the same time, the row of
// this host.
func (c Control) look(ctx context.Context) (FullAudit, error) {
	own := make(chan Row, 1)
	go func() { own <- c.Loop.Row(ctx) }()
	survey, err := c.Survey.Survey(ctx)
	row := <-own
	if err != nil {
		return FullAudit{}, err
	}
	survey.Rows = append(slices.Clone(survey.Rows), row)
	audit := Matrix(c.Loop.cfg.Membership.View(), survey)
	audit.Time = time.Now()
	return audit, nil
}
