package ovsdb

import (
	"context"

	"github.com/ovn-org/libovsdb/cache"
	"github.com/ovn-org/libovsdb/model"
)

// markerRow stands in a table that is not monitored, and so has no other row in
// the cache. Its events come after those of all rows that were in the cache when
// it was put there.
type markerRow struct {
	UUID string `ovsdb:"_uuid"`

	reached chan<- struct{}
}

const tableMarker = "QoS"

// CloneModel implements libovsdb's CloneableModel.
func (r *markerRow) CloneModel() model.Model { c := *r; return &c }

// CloneModelInto implements libovsdb's CloneableModel.
func (r *markerRow) CloneModelInto(m model.Model) { *m.(*markerRow) = *r }

// markerUpdate is a change of the marker's row.
type markerUpdate struct{ row *markerRow }

// GetUpdatedTables is of what libovsdb's cache takes.
func (markerUpdate) GetUpdatedTables() []string { return []string{tableMarker} }

// ForEachModelUpdate is of what libovsdb's cache takes.
func (u markerUpdate) ForEachModelUpdate(_ string, do func(string, model.Model, model.Model) error) error {
	return do("", u.row, u.row)
}

// caughtUp returns when the events of all rows that are in the cache have been
// handled.
func (s *session) caughtUp(ctx context.Context, tables *cache.TableCache) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	reached := make(chan struct{}, 1)
	row := &markerRow{reached: reached}
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
