// Package metrics exports a host's status in the Prometheus format. Only this
// package imports the Prometheus client.
//
// The package keeps no state. It builds all gremesh metrics from one
// [mesh.Status], which it requests on every scrape.
package metrics
