package metrics

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gremesh/gremesh/mesh"
)

// patience bounds the request for one status. A scrape has 10 s by default.
const patience = 5 * time.Second

// Handler serves the metrics of the status, of the Go runtime and of this
// process at GET /metrics. It may call status from any goroutine.
func Handler(status func(context.Context) mesh.Status) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		&collector{status},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	// Two peers with the same name and address produce duplicate metrics. With
	// ContinueOnError all other metrics are still served.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	return mux
}

// metric is one of gremesh's own metrics; of reads its values from a status.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s mesh.Status, set func(value float64, labels ...string))
}

func define(name, help string, labels []string, of func(mesh.Status, func(float64, ...string))) metric {
	return metric{prometheus.NewDesc("gremesh_"+name, help, labels, nil), prometheus.GaugeValue, of}
}

// metrics returns all gremesh metrics. docs/operations.md documents them.
func metrics() []metric {
	tunnel := []string{"peer", "underlay", "type"}
	all := []metric{
		define("build_info", "1; the version of the agent is a label.", []string{"version"},
			func(s mesh.Status, set func(float64, ...string)) { set(1, s.Host.Version) }),
		define("lease_held", "Whether this host holds a subnet.", nil,
			func(s mesh.Status, set func(float64, ...string)) { set(truth(s.Host.Subnet.IsValid())) }),
		define("hosts", "Hosts of the mesh as this one sees them, itself included, by state.", []string{"state"},
			func(s mesh.Status, set func(float64, ...string)) {
				set(float64(s.Mesh.Hosts), string(mesh.Alive))
				set(float64(s.Mesh.Failed), string(mesh.Failed))
			}),
		define("tunnels_wanted", "Directed tunnels that the hosts that are alive should have, all together.", nil,
			func(s mesh.Status, set func(float64, ...string)) { set(float64(s.Mesh.Tunnels)) }),
		define("tunnels_up", "Directed tunnels that are up, as each host counts its own.", nil,
			func(s mesh.Status, set func(float64, ...string)) { set(float64(s.Mesh.TunnelsUp)) }),
		define("ovs_up", "Whether Open vSwitch runs and answers on this host.", nil,
			func(s mesh.Status, set func(float64, ...string)) { set(truth(s.Host.OVS == "up")) }),
		define("tunnel_up", "Whether this host's tunnel to a peer is up, for every tunnel that there should be.", tunnel,
			func(s mesh.Status, set func(float64, ...string)) {
				for _, p := range s.Peers {
					if t := p.Tunnel; t.Wanted || t.Port != "" {
						set(truth(t.Port != "" && t.Error == "" && (t.BFD == "" || t.BFD == "up")), p.Name, p.Underlay.String(), t.Type)
					}
				}
			}),
		define("tunnel_filtered", "1 for each type of tunnel that does not get through between this host and a peer.", tunnel,
			func(s mesh.Status, set func(float64, ...string)) {
				for _, p := range s.Peers {
					for _, kind := range p.Tunnel.Filtered {
						set(1, p.Name, p.Underlay.String(), kind)
					}
				}
			}),
		define("problems", "Problems that gremesh status shows.", nil,
			func(s mesh.Status, set func(float64, ...string)) { set(float64(len(s.Problems))) }),
	}
	all = append(all, paths()...)
	changes := define("changes_total", "Differences on this host that were corrected since the agent's start.", nil,
		func(s mesh.Status, set func(float64, ...string)) { set(float64(s.Host.Changes)) })
	changes.kind = prometheus.CounterValue
	return append(all, changes)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collector converts a status to metrics when a scrape comes in.
type collector struct {
	status func(context.Context) mesh.Status
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range metrics() {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status := c.status(ctx)
	for _, m := range metrics() {
		m.of(status, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
}
