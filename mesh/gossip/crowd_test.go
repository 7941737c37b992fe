package gossip

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

// A host that joins a crowd finds all of it alive, holds what it held, and hears
// from it.
func TestACrowdIsAMesh(t *testing.T) {
	settings := Settings{Space: lease.Space{Pool: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}, Tunnel: mesh.TunnelConfig{Type: "gre"}}
	var records []lease.Record
	for i := range 4 {
		records = append(records, lease.Record{
			Host: lease.ID{9, byte(i)}, Version: 1, State: lease.Held, Subnet: settings.Space.At(i), Sequence: uint64(i + 1),
			Name: "host" + string(rune('0'+i)), Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 7, 3, byte(i + 1)}), 7946),
		})
	}
	dir := t.TempDir()
	if err := (store{dir}).save(savedState{Host: records[0].Host, Mesh: "crowd", Records: records}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 2)
	crowd := Crowd{To: records[0].Host, Records: records, Settings: settings, Mesh: "crowd", Ready: func() { close(ready) }}
	go func() { ended <- crowd.Run(ctx) }()
	<-ready
	node, err := New(Config{Name: "host0", Underlay: records[0].Underlay, Seeds: []string{records[1].Underlay.String()}, Settings: settings, Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- node.Run(ctx) }()
	alive := func() (count int) {
		for _, p := range node.View().Peers {
			if p.Liveness == mesh.Alive {
				count++
			}
		}
		return count
	}
	for began := time.Now(); alive() < 3 || !node.View().Self.Subnet.IsValid(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d of the crowd are alive: %+v", alive(), node.View())
		}
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
