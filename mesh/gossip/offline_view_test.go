package gossip

import (
	"net/netip"
	"os"
	"testing"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

func peekConfig(dir string) Config {
	return Config{
		Name: "h1", Underlay: netip.MustParseAddrPort("192.168.248.139:7946"), Dir: dir,
		Settings: Settings{Pool: lease.Pool{Prefix: netip.MustParsePrefix("172.17.0.0/16"), Bits: 24}},
	}
}

func TestPeekBeforeTheFirstStartAssumesAndCreatesNothing(t *testing.T) {
	dir := t.TempDir() + "/state"
	subnet := netip.MustParsePrefix
	others := []mesh.Host{
		{Name: "h2", Underlay: netip.MustParseAddr("192.168.248.140"), Subnet: subnet("172.17.0.0/24"), Liveness: mesh.Alive},
		{Name: "h3", Underlay: netip.MustParseAddr("192.168.248.141"), Subnet: subnet("172.17.43.0/24"), Liveness: mesh.Alive},
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   netip.Prefix
	}{
		"the first free":                {func(*Config) {}, subnet("172.17.1.0/24")},
		"what it uses":                  {func(c *Config) { c.Prefer = []netip.Prefix{subnet("172.17.9.0/24")} }, subnet("172.17.9.0/24")},
		"what it uses, if it is free":   {func(c *Config) { c.Prefer = []netip.Prefix{subnet("172.17.43.0/24")} }, subnet("172.17.1.0/24")},
		"what is fixed":                 {func(c *Config) { c.Fixed = subnet("172.17.7.0/24") }, subnet("172.17.7.0/24")},
		"nothing, if that is another's": {func(c *Config) { c.Fixed = subnet("172.17.43.0/24") }, netip.Prefix{}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := peekConfig(dir)
			c.change(&cfg)
			view, got, err := OfflineView(cfg, others...)
			if err != nil || got != c.want || view.Self.Subnet.IsValid() || len(view.Peers) != 2 || !view.Peers[0].ID.IsZero() {
				t.Errorf("%s, want %s; %+v, %v", got, c.want, view, err)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("it made the state directory, %v", err)
			}
		})
	}
}

func TestPeekTellsWhatTheStateHas(t *testing.T) {
	cfg := peekConfig(t.TempDir())
	record := func(i byte, state lease.State, third byte, age uint64) lease.Record {
		return lease.Record{Host: lease.ID{i}, Version: 1, State: state, Sequence: age, Name: "h" + string('0'+i),
			Subnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 17, third, 0}), 24),
			Underlay: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 248, 138 + i}), 7946)}
	}
	st := savedState{Host: lease.ID{1}, Mesh: "4d35", Records: []lease.Record{
		record(1, lease.Held, 42, 1), record(2, lease.Held, 43, 2), record(3, lease.Left, 44, 3), record(4, lease.Held, 43, 4),
	}}
	if err := (store{cfg.Dir}).create(st); err != nil {
		t.Fatal(err)
	}
	view, candidate, err := OfflineView(cfg)
	if err != nil || candidate.IsValid() || view.Mesh != "4d35" || view.Self.Subnet.String() != "172.17.42.0/24" || len(view.Peers) != 3 {
		t.Fatalf("%+v, %s, %v", view, candidate, err)
	}
	for i, want := range []mesh.Host{
		{Liveness: mesh.Alive, Subnet: netip.MustParsePrefix("172.17.43.0/24")},
		{Liveness: mesh.Left},
		{Liveness: mesh.Alive, Subnet: netip.MustParsePrefix("172.17.43.0/24"), Cut: true}, // the younger lease
	} {
		if got := view.Peers[i]; got.Liveness != want.Liveness || got.Subnet != want.Subnet || got.Cut != want.Cut {
			t.Errorf("%+v, want %+v", got, want)
		}
	}

	if err := os.WriteFile((store{cfg.Dir}).stateFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OfflineView(cfg); err == nil {
		t.Error("a damaged state is not told of")
	}
	if err := os.Remove((store{cfg.Dir}).stateFile()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OfflineView(cfg); err == nil {
		t.Error("a lost state is not told of")
	}
}

// The bip is fixed, and its subnet goes with the ID that the host had before.
func TestPeekAfterAResetNamesWhoHasTheFixedSubnet(t *testing.T) {
	cfg := peekConfig(t.TempDir())
	cfg.Fixed = netip.MustParsePrefix("172.17.42.0/24")
	former := lease.Record{Host: lease.ID{0x54, 0x14}, Version: 2, State: lease.Held, Subnet: cfg.Fixed, Sequence: 1, Name: cfg.Name, Underlay: cfg.Underlay}
	if err := (store{cfg.Dir}).create(savedState{Host: former.Host, Mesh: "4d35", Records: []lease.Record{former}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := ResetIdentity(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	view, candidate, err := OfflineView(cfg)
	if err != nil || candidate.IsValid() || view.Self.Subnet.IsValid() {
		t.Fatalf("%+v, %s, %v", view.Self, candidate, err)
	}
	contains(t, view.Waiting, "172.17.42.0/24 only", "held by h1 (54140000) at 192.168.248.139", "this host's former ID", "gremesh forget 54140000")
	cfg.Fixed = netip.Prefix{}
	if view, candidate, err := OfflineView(cfg); err != nil || !candidate.IsValid() || view.Waiting != "" {
		t.Errorf("without a bip: %s, waiting %q, %v", candidate, view.Waiting, err)
	}
}
