package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gremesh/gremesh/mesh"
)

// paths returns the metrics of the probes from docker0 to the peers' docker0.
func paths() []metric {
	each := func(name, help string, kind prometheus.ValueType, of func(mesh.PathStatus) (value float64, ok bool)) metric {
		m := define(name, help, []string{"peer", "underlay"}, func(s mesh.Status, set func(float64, ...string)) {
			for _, p := range s.Peers {
				if p.Path == nil {
					continue
				}
				if value, ok := of(*p.Path); ok {
					set(value, p.Name, p.Underlay.String())
				}
			}
		})
		m.kind = kind
		return m
	}
	return []metric{
		each("path_up", "Whether probes from docker0 to a peer's docker0 are answered, through its tunnel.", prometheus.GaugeValue,
			func(p mesh.PathStatus) (float64, bool) { return truth(p.Up), true }),
		each("path_full_size_up", "Whether probes of docker0's MTU are answered, where others are.", prometheus.GaugeValue,
			func(p mesh.PathStatus) (float64, bool) { return truth(!p.SmallOnly), p.Up }),
		each("path_round_trip_seconds", "Median round trip of the last 20 probes.", prometheus.GaugeValue,
			func(p mesh.PathStatus) (float64, bool) { return p.RoundTrip, p.RoundTrip > 0 }),
		each("path_probes_sent_total", "Probes sent to a peer.", prometheus.CounterValue,
			func(p mesh.PathStatus) (float64, bool) { return float64(p.Sent), true }),
		each("path_probes_lost_total", "Probes sent to a peer that had no answer.", prometheus.CounterValue,
			func(p mesh.PathStatus) (float64, bool) { return float64(p.Lost), true }),
	}
}
