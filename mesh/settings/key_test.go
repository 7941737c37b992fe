package settings

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEdit(t *testing.T) {
	mesh := Values{}.With(Value{"pool", "172.17.0.0/16"}, Value{"prefix", "24"}, Value{"zz.later", "on"})
	for _, c := range []struct {
		name    string
		changes string // KEY=VALUE …
		want    string // of the keys that changed, or of the error
		fails   bool
	}{
		{"a type", "tunnel.type=vxlan", "tunnel.type=vxlan", false},
		{"a key in hexadecimal", "tunnel.key=0xff", "tunnel.key=255", false},
		{"no key", "tunnel.key=0", "", false},
		{"a random key", "tunnel.key=random", "tunnel.key=9", false},
		{"fallbacks", "tunnel.fallback=vxlan,geneve", "tunnel.fallback=vxlan,geneve", false},
		{"two at once", "tunnel.type=vxlan tunnel.fallback=gre", "tunnel.fallback=gre tunnel.type=vxlan", false},
		{"what it is already", "pool=172.17.0.0/16 prefix=24 tunnel.type=gre", "", false},
		{"another pool", "pool=10.0.0.0/8", "it cannot change on a running mesh, because every host", true},
		{"another prefix", "prefix=25", "gremesh leave --release", true},
		{"an unknown type", "tunnel.type=ipip", "tunnel.type must be gre, vxlan or geneve", true},
		{"a type twice", "tunnel.fallback=vxlan,vxlan", "each once", true},
		{"the type as fallback", "tunnel.fallback=gre", "which is tunnel.type already", true},
		{"a key that VXLAN does not take", "tunnel.key=0x1000000 tunnel.type=vxlan", "24 bits", true},
		{"a key that a fallback does not take", "tunnel.key=0x1000000 tunnel.fallback=geneve", "24 bits", true},
		{"a large key for GRE", "tunnel.key=4294967295", "tunnel.key=4294967295", false},
		{"a key that is none", "tunnel.key=much", "must be random, none, or a number", true},
		{"a negative key", "tunnel.key=-1", "must be random, none, or a number", true},
		{"back again in one command", "tunnel.type=vxlan tunnel.type=gre", "tunnel.type=gre", false},
		{"an unknown setting", "tunnel.color=red", "the settings are pool, prefix, tunnel.fallback, tunnel.key, tunnel.type", true},
		{"random where there is none", "tunnel.type=random", "must be gre", true},
	} {
		var changes []Value
		for change := range strings.FieldsSeq(c.changes) {
			key, text, _ := strings.Cut(change, "=")
			changes = append(changes, Value{key, text})
		}
		got, err := Edit(mesh, changes, func() uint64 { return 8 })
		if c.fails {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var changed []string
		for _, v := range got {
			if old, _ := mesh.Get(v.Key); old != v.Text {
				changed = append(changed, v.Key+"="+v.Text)
			}
		}
		if strings.Join(changed, " ") != c.want {
			t.Errorf("%s: %s, want %s", c.name, changed, c.want)
		}
		if later, _ := got.Get("zz.later"); later != "on" {
			t.Errorf("%s: the value of a later version is lost", c.name)
		}
	}
	if _, err := Edit(mesh, []Value{{"pool", "10.0.0.0/8"}}, nil); !errors.Is(err, ErrFixed) {
		t.Errorf("%v is not ErrFixed", err)
	}
}

func TestRandomKeysFitEveryType(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rapid.Uint64().Draw(t, "random")
		values, err := Edit(nil, []Value{{"tunnel.key", Random}, {"tunnel.fallback", "vxlan,geneve"}}, func() uint64 { return random })
		if key := TunnelKey.Of(values); err != nil || key == 0 || key > MaxKey {
			t.Fatalf("%d, %v", key, err)
		}
	})
}

func TestDefinitionsAreComplete(t *testing.T) {
	all := Definitions()
	if !slices.IsSortedFunc(all, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("not sorted by name")
	}
	for _, d := range all {
		if text, err := d.Canonical(d.Default); err != nil || text != d.Default || !isKey(d.Name) || d.Help == "" {
			t.Errorf("%s: default %q becomes %q, %v", d.Name, d.Default, text, err)
		}
	}
}

func TestPins(t *testing.T) {
	mesh := Values{}.With(TunnelType.Is("gre"), TunnelKey.Is(7))
	pins := []Pin{{TunnelType.Is("vxlan"), "FILE"}, {TunnelKey.Is(7), "FILE"}, {TunnelFallback.Is(nil), "FILE"}}
	if got := Pinned(mesh, pins); TunnelType.Of(got) != "vxlan" || TunnelKey.Of(got) != 7 {
		t.Errorf("%v", got)
	}
	differing := Differing(mesh, pins)
	if len(differing) != 1 || differing[0].String() != "tunnel.type is pinned to vxlan in FILE" {
		t.Errorf("%v", differing)
	}
	if Text(mesh, "tunnel.type") != "gre" || Text(mesh, "tunnel.fallback") != "none" || Text(mesh, "later") != "" {
		t.Error("Text is wrong")
	}
}

func TestValuesOfALaterVersionAreTold(t *testing.T) {
	values := Values{}.With(Value{"tunnel.type", "wireguard"}, Value{"zz.later", "on"}, Value{"prefix", "24"})
	if got := Unreadable(values); !slices.Equal(got, []Value{{"tunnel.type", "wireguard"}}) || TunnelType.Of(values) != "gre" {
		t.Errorf("%v, and the type is %s", got, TunnelType.Of(values))
	}
}
