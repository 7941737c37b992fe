package ovsdb

import (
	"maps"
	"slices"

	"github.com/ovn-org/libovsdb/model"
)

// The rows copy themselves: without that libovsdb writes each that changes as
// JSON and reads it back, several times over.

// CloneModel implements libovsdb's CloneableModel.
func (r *rootRow) CloneModel() model.Model {
	c := *r
	c.Bridges = slices.Clone(r.Bridges)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *rootRow) CloneModelInto(m model.Model) { *m.(*rootRow) = *r.CloneModel().(*rootRow) }

// CloneModel implements libovsdb's CloneableModel.
func (r *bridgeRow) CloneModel() model.Model {
	c := *r
	c.FailMode = cloned(r.FailMode)
	c.Ports = slices.Clone(r.Ports)
	c.ExternalIDs = maps.Clone(r.ExternalIDs)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *bridgeRow) CloneModelInto(m model.Model) { *m.(*bridgeRow) = *r.CloneModel().(*bridgeRow) }

// CloneModel implements libovsdb's CloneableModel.
func (r *portRow) CloneModel() model.Model {
	c := *r
	c.Interfaces = slices.Clone(r.Interfaces)
	c.ExternalIDs = maps.Clone(r.ExternalIDs)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *portRow) CloneModelInto(m model.Model) { *m.(*portRow) = *r.CloneModel().(*portRow) }

// CloneModel implements libovsdb's CloneableModel.
func (r *interfaceRow) CloneModel() model.Model {
	c := *r
	c.Options, c.BFD, c.BFDStatus = maps.Clone(r.Options), maps.Clone(r.BFD), maps.Clone(r.BFDStatus)
	c.MTURequest, c.OfPort, c.Error = cloned(r.MTURequest), cloned(r.OfPort), cloned(r.Error)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *interfaceRow) CloneModelInto(m model.Model) {
	*m.(*interfaceRow) = *r.CloneModel().(*interfaceRow)
}

func cloned[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
