package ovsdb

import (
	"context"

	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/model"
)

// barrierRow is a barrier in libovsdb's event queue. It is in a table that is
// not monitored, so it is the only row of this table in the cache. Its events
// follow the events of all rows that were in the cache when it was inserted or
// updated.
type barrierRow struct {
	UUID string `ovsdb:"_uuid"`

	reached chan<- struct{}
}

const tableMarker = "QoS"

// CloneModel implements libovsdb's CloneableModel.
func (r *barrierRow) CloneModel() model.Model { c := *r; return &c }

// CloneModelInto implements libovsdb's CloneableModel.
func (r *barrierRow) CloneModelInto(m model.Model) { *m.(*barrierRow) = *r }

// markerUpdate is an update of the marker's row.
type markerUpdate struct{ row *barrierRow }

// GetUpdatedTables implements the update interface of libovsdb's cache.
func (markerUpdate) GetUpdatedTables() []string { return []string{tableMarker} }

// ForEachModelUpdate implements the update interface of libovsdb's cache.
func (u markerUpdate) ForEachModelUpdate(_ string, do func(string, model.Model, model.Model) error) error {
	return do("", u.row, u.row)
}

// waitForEvents waits until the events of all rows in the cache have been handled.
func (s *session) waitForEvents(ctx context.Context, tables *cache.TableCache) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	reached := make(chan struct{}, 1)
	row := &barrierRow{reached: reached}
	if !s.marked {
		if err := tables.Table(tableMarker).Create("", row, false); err != nil {
			return err
		}
		s.marked = true
	}
	if err := tables.ApplyCacheUpdate(markerUpdate{row}); err != nil {
		return err
	}
	select {
	case <-reached:
		return nil
	case <-s.dead:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
}
