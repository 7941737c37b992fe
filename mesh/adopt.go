package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gremesh/gremesh/mesh/drift"
	"github.com/gremesh/gremesh/mesh/journal"
	"github.com/gremesh/gremesh/ovsdb"
)

// Adoption describes which manually created tunnel ports on this host's switch
// are taken over.
type Adoption struct {
	Ports []drift.Drift `json:"ports"` // taken over, or to be taken over
	Left  []Problem     `json:"left"`  // not taken over, each with the reason
}

// Adoptable returns the ports that Adopt would take over now, and changes
// nothing.
func (l *Loop) Adoptable(ctx context.Context) (Adoption, error) {
	l.busy.Lock()
	defer l.busy.Unlock()
	adoption, _, err := l.adoptable(ctx)
	return adoption, err
}

// Adopt takes over the manually created tunnel ports that lead to the same
// hosts as gremesh's own ports would. Their traffic is not interrupted.
func (l *Loop) Adopt(ctx context.Context) (Adoption, error) {
	l.busy.Lock()
	defer l.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	adoption, changes, err := l.adoptable(ctx)
	if err != nil || len(changes) == 0 {
		return adoption, err
	}
	began := time.Now()
	if err := l.cfg.Switch.Apply(ctx, changes); err != nil {
		return Adoption{}, fmt.Errorf("adopt: %w", err)
	}
	var made []journal.Change
	for _, c := range changes {
		made = append(made, l.logged(c.Drift, began, "gremesh adopt"))
	}
	l.cfg.History.Append(made...)
	return adoption, nil
}

func (l *Loop) adoptable(ctx context.Context) (Adoption, []ovsdb.Change, error) {
	adoption := Adoption{Ports: []drift.Drift{}, Left: []Problem{}}
	view := l.cfg.Membership.View()
	if !view.Self.Subnet.IsValid() {
		return adoption, nil, errors.New("this host holds no lease yet, so it is not known which tunnels it should have: " + view.Waiting)
	}
	have, err := l.cfg.Switch.Observe(ctx)
	if err != nil {
		return adoption, nil, err
	}
	desired, _ := l.plan(view, l.last.Load().keep, have)
	changes, left := ovsdb.Adopt(desired.Switch, have)
	for _, c := range changes {
		adoption.Ports = append(adoption.Ports, c.Drift)
	}
	for _, c := range left {
		adoption.Left = append(adoption.Left, Problem{What: c.Key.String() + " is left as it is: " + c.What, Do: c.Do})
	}
	return adoption, changes, nil
}

func (c Control) getAdopt(w http.ResponseWriter, r *http.Request) {
	c.answerAdoption(w, r, c.Loop.Adoptable)
}

func (c Control) postAdopt(w http.ResponseWriter, r *http.Request) {
	c.answerAdoption(w, r, c.Loop.Adopt)
}

func (c Control) answerAdoption(w http.ResponseWriter, r *http.Request, adopt func(context.Context) (Adoption, error)) {
	adoption, err := adopt(r.Context())
	if err != nil {
		refuse(w, http.StatusConflict, err.Error())
		return
	}
	answer(w, http.StatusOK, adoption)
}
