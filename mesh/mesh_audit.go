package mesh

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// secondLook is how long after the first the mesh is looked at again where
// something seems wrong: what agents mend they have mended by then, and BFD
// between two hosts that reach each other is up.
const secondLook = 2 * time.Second

// getMesh answers with what two looks have in common; with one=true with the
// first, changes under way included.
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

// look asks the others, and this host meanwhile.
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
