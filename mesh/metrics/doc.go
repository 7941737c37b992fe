// Package metrics shows a host's status in the format of Prometheus. It is the
// only importer of Prometheus' client.
//
// It has no state: all of gremesh's own metrics are made of one [mesh.Status],
// which is asked for when they are scraped.
package metrics
