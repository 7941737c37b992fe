package ovsdb

import (
	"maps"
	"slices"

	"github.com/ovn-org/libovsdb/model"
)

// The rows implement CloneableModel. Without it, libovsdb copies each changed
// row several times by encoding it to JSON and decoding it again.

// CloneModel implements libovsdb's CloneableModel.
func (r *rootRow) CloneModel() model.Model {
	c := *r
	c.Bridges = slices.Clone(r.Bridges)
	c.OtherConfig = maps.Clone(r.OtherConfig)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *rootRow) CloneModelInto(m model.Model) { *m.(*rootRow) = *r.CloneModel().(*rootRow) }

// CloneModel implements libovsdb's CloneableModel.
func (r *bridgeRow) CloneModel() model.Model {
	c := *r
	c.FailMode = cloned(r.FailMode)
	c.Ports, c.Controllers, c.Mirrors = slices.Clone(r.Ports), slices.Clone(r.Controllers), slices.Clone(r.Mirrors)
	c.FloodVLANs = slices.Clone(r.FloodVLANs)
	c.ExternalIDs = maps.Clone(r.ExternalIDs)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *bridgeRow) CloneModelInto(m model.Model) { *m.(*bridgeRow) = *r.CloneModel().(*bridgeRow) }

// CloneModel implements libovsdb's CloneableModel.
func (r *portRow) CloneModel() model.Model {
	c := *r
	c.Interfaces, c.Trunks = slices.Clone(r.Interfaces), slices.Clone(r.Trunks)
	c.ExternalIDs, c.OtherConfig = maps.Clone(r.ExternalIDs), maps.Clone(r.OtherConfig)
	c.Tag, c.VLANMode, c.QoS, c.LACP = cloned(r.Tag), cloned(r.VLANMode), cloned(r.QoS), cloned(r.LACP)
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

// CloneModel implements libovsdb's CloneableModel.
func (r *mirrorRow) CloneModel() model.Model {
	c := *r
	c.Output = cloned(r.Output)
	return &c
}

// CloneModelInto implements libovsdb's CloneableModel.
func (r *mirrorRow) CloneModelInto(m model.Model) { *m.(*mirrorRow) = *r.CloneModel().(*mirrorRow) }

func cloned[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
