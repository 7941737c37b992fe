package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
)

// capture stores the originals of all components before any of them changes
// anything, because one component can change what another one has to restore.
func (e *Engine[In]) capture(ctx context.Context) error {
	saved, err := e.opts.Originals.Load()
	if err != nil {
		return err
	}
	all := make(map[string]json.RawMessage)
	maps.Copy(all, saved)
	for _, u := range e.units {
		r, ok := u.component.(Restorer[In])
		if _, known := all[u.name]; !ok || known {
			continue
		}
		state, err := e.observe(ctx, u)
		if err != nil {
			return err
		}
		if all[u.name], err = r.Original(state); err != nil {
			return fmt.Errorf("capture the original state of %s: %w", u.name, err)
		}
	}
	if len(all) > len(saved) {
		if err := e.opts.Originals.Save(all); err != nil {
			return fmt.Errorf("save the original state: %w", err)
		}
	}
	e.captured = true
	return nil
}
