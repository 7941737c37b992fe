package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The keys of the mesh settings. Each key also exists in gremesh.yaml, where a
// host can pin its value.
var (
	Pool = Key[netip.Prefix]{
		name: "pool", help: "container network of the whole mesh",
		initial: netip.MustParsePrefix("172.17.0.0/16"),
		fixed: "because every host would get another subnet and restart Docker; " +
			"make a new mesh instead: `gremesh leave --release` on every host, then start the agents with the new pool",
		parse: parsePool, format: netip.Prefix.String,
	}
	Prefix = Key[int]{
		name: "prefix", help: "prefix length of a host's subnet",
		initial: 24,
		fixed: "because every host would get another subnet and restart Docker; " +
			"make a new mesh instead: `gremesh leave --release` on every host, then start the agents with the new prefix",
		parse: parsePrefix, format: strconv.Itoa,
	}
	TunnelType = Key[string]{
		name: "tunnel.type", help: "type of all tunnels: gre, vxlan or geneve",
		choices: tunnelTypes(), initial: "gre",
		parse: parseType, format: func(t string) string { return t },
	}
	TunnelFallback = Key[[]string]{
		name: "tunnel.fallback", help: "types for pairs of hosts that tunnel.type does not connect, or none",
		choices: append(tunnelTypes(), none),
		parse:   parseTypes, format: formatTypes,
	}
	TunnelKey = Key[uint32]{
		name: "tunnel.key", help: "key of all tunnels (GRE key, VXLAN or Geneve network identifier): a number, random or none",
		choices: []string{Random, none},
		parse:   parseKey, format: formatKey,
		draw: func(random uint64) uint32 { return uint32(random%MaxKey) + 1 },
	}
)

// Definitions returns all keys, sorted by name.
func Definitions() []Definition {
	return []Definition{
		Pool.definition(), Prefix.definition(),
		TunnelFallback.definition(), TunnelKey.definition(), TunnelType.definition(),
	}
}

// Check returns an error if the values contradict each other.
func Check(values Values) error {
	pool, prefix := Pool.Of(values), Prefix.Of(values)
	if prefix <= pool.Bits() {
		return fmt.Errorf("prefix is %d, and must be longer than that of the pool %s", prefix, pool)
	}
	kind, others := TunnelType.Of(values), TunnelFallback.Of(values)
	if slices.Contains(others, kind) {
		return fmt.Errorf("tunnel.fallback has %s, which is tunnel.type already: change both in one command, "+
			"for example `gremesh config set tunnel.type %s tunnel.fallback none`", kind, kind)
	}
	for _, t := range append(others, kind) {
		if key := TunnelKey.Of(values); t != "gre" && key > MaxKey {
			return fmt.Errorf("tunnel.key is %d, and %s takes at most %d: its network identifier has 24 bits (RFC 7348, RFC 8926); "+
				"change both in one command, for example `gremesh config set tunnel.key random tunnel.type %s`", key, t, MaxKey, t)
		}
	}
	return nil
}

// MaxKey is the largest tunnel key that every tunnel type accepts (24 bits).
const MaxKey = 1<<24 - 1

const none = "none"

func tunnelTypes() []string { return []string{"gre", "vxlan", "geneve"} }

func parsePool(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() || p != p.Masked() {
		return netip.Prefix{}, errors.New("must be an IPv4 network, like 172.17.0.0/16")
	}
	return p, nil
}

func parsePrefix(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n > 30 {
		return 0, errors.New("must be a prefix length, like 24")
	}
	return int(n), nil
}

func parseType(text string) (string, error) {
	if !slices.Contains(tunnelTypes(), text) {
		return "", errors.New("must be gre, vxlan or geneve")
	}
	return text, nil
}

func parseTypes(text string) ([]string, error) {
	if text == none {
		return nil, nil
	}
	var types []string
	for t := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if _, err := parseType(t); err != nil || slices.Contains(types, t) {
			return nil, errors.New("must be none, or some of gre, vxlan and geneve, each once, like vxlan,geneve")
		}
		types = append(types, t)
	}
	if len(types) == 0 {
		return nil, errors.New("must be none, or some of gre, vxlan and geneve, each once, like vxlan,geneve")
	}
	return types, nil
}

func formatTypes(types []string) string {
	if len(types) == 0 {
		return none
	}
	return strings.Join(types, ",")
}

func parseKey(text string) (uint32, error) {
	if text == none {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("must be random, none, or a number of 1 to %d (with gre alone up to %d)", MaxKey, uint32(1<<32-1))
	}
	return uint32(n), nil
}

func formatKey(key uint32) string {
	if key == 0 {
		return none
	}
	return strconv.FormatUint(uint64(key), 10)
}
