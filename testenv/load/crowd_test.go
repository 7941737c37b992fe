package load

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/gossip"
	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/state"
)

// A host that joins a crowd finds all of it alive, holds what it held, and hears
// from it.
func TestACrowdIsAMesh(t *testing.T) {
	settings := gossip.Settings{Pool: lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}, Tunnel: mesh.TunnelConfig{Type: "gre"}}
	var records []lease.Record
	for i := range 4 {
		records = append(records, lease.Record{
			Host: lease.ID{9, byte(i)}, Version: 1, State: lease.Held, Subnet: settings.Pool.At(i), Sequence: uint64(i + 1),
			Name: "host" + string(rune('0'+i)), Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 7, 3, byte(i + 1)}), 7946),
		})
	}
	dir := t.TempDir()
	saved := map[string]any{"host": records[0].Host, "mesh": "crowd", "records": records}
	if err := state.WriteJSON(filepath.Join(dir, "state.json"), saved); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 2)
	crowd := Crowd{To: records[0].Host, Records: records, Pool: settings.Pool, Mesh: "crowd", Ready: func() { close(ready) }}
	go func() { ended <- crowd.Run(ctx) }()
	<-ready
	node, err := gossip.New(gossip.Config{Name: "host0", Underlay: records[0].Underlay, Seeds: []string{records[1].Underlay.String()}, Settings: settings, Dir: dir, Log: slog.New(slog.DiscardHandler)})
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

func TestABareMemberlistJoinsACrowd(t *testing.T) {
	pool := lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}
	var records []lease.Record
	for i := range 3 {
		records = append(records, lease.Record{
			Host: lease.ID{8, byte(i)}, Name: "host", Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 7, 4, byte(i + 1)}), 7946),
		})
	}
	keys := [][]byte{bytes.Repeat([]byte{7}, 32)}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	crowd := Crowd{To: records[0].Host, Records: records, Pool: pool, Keys: keys, Ready: func() { close(ready) }}
	go func() { ended <- crowd.Run(ctx) }()
	<-ready
	list, err := Bare(gossip.Config{Underlay: records[0].Underlay, Seeds: []string{records[1].Underlay.String()}, Keys: keys}, records[0].Host)
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); list.NumMembers() < len(records); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d members", list.NumMembers())
		}
	}
	if err := list.Shutdown(); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
