package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gremesh/gremesh/mesh/lease"
)

// validate reports every value and every combination of values with which an
// agent cannot work. It adds the default port to seeds without one. It reads
// only the configuration.
func validate(c *Config, errs *Errors) {
	validateNode(c, errs)
	validateMesh(c, errs)
	validatePool(c, errs)
	validateDevices(c, errs)
	validateTunnel(c, errs)
	validateMasquerade(c.Masquerade, errs)

	for _, path := range []struct{ key, value string }{
		{"docker.daemon_json", c.Docker.DaemonJSON},
		{"state_dir", c.StateDir},
		{"control", c.Control},
	} {
		if !filepath.IsAbs(path.value) {
			errs.add(path.key, "must be an absolute path")
		}
	}
	if len(c.Control) > maxSocketPath {
		errs.add("control", "has %d bytes; a unix socket's path may have %d", len(c.Control), maxSocketPath)
	}
	if path, ok := strings.CutPrefix(c.Docker.Socket, "unix://"); !ok || !filepath.IsAbs(path) {
		errs.add("docker.socket", "must be unix://PATH with an absolute path, like unix:///var/run/docker.sock")
	} else if len(path) > maxSocketPath {
		errs.add("docker.socket", "has %d bytes; a unix socket's path may have %d", len(path), maxSocketPath)
	}
	if c.PeerGrace < 0 {
		errs.add("peer_grace", "must not be negative")
	}
	if c.LeaseTTL < 0 {
		errs.add("lease_ttl", "must not be negative; 0 is for ever")
	}
	oneOf(errs, "route", c.Route, PerPeer, Aggregate)
	oneOf(errs, "direct", c.Direct, never, SameSubnet)
	if c.Route == Aggregate && c.Direct == SameSubnet {
		errs.add("direct", "needs route: per-peer")
	}
	oneOf(errs, "flood", c.Flood, "on", "off")
	if c.Route == Aggregate && c.Flood == "off" && errs.source("flood") != defaultSource {
		errs.add("flood", "must be on with route: aggregate, because hosts then ask each other for containers' addresses by broadcast")
	}
	if at := c.Metrics.Listen; at.IsValid() && at.Port() == 0 {
		errs.add("metrics.listen", "must have a port of 1 to 65535")
	}
	oneOf(errs, "log.format", c.Log.Format, "auto", "text", "json")
}

// maxSocketPath is the length of sun_path without its final NUL (unix(7)).
const maxSocketPath = 107

// maxNameLen is the longest host name that Linux allows (gethostname(2)).
const maxNameLen = 64

func validateNode(c *Config, errs *Errors) {
	if !hostChars(c.Node.Name) || len(c.Node.Name) > maxNameLen {
		errs.add("node.name", "must be 1 to %d letters, digits, dots, dashes or underscores", maxNameLen)
	}
	addr, network := c.Node.Advertise.Addr, c.Node.Advertise.Network
	switch {
	case network.IsValid():
		switch {
		case network != network.Masked():
			errs.add("node.advertise", "has bits beyond its prefix length; the network is %s", network.Masked())
		case errs.ok("pool") && c.Pool.Bits() <= network.Bits() && c.Pool.Contains(network.Addr()):
			errs.add("node.advertise", "is inside the pool %s; the underlay must be outside it", c.Pool)
		}
	case addr.IsValid():
		if err := usableAddr(addr); err != nil {
			errs.add("node.advertise", "%w", err)
		} else if errs.ok("pool") && c.Pool.Contains(addr) {
			errs.add("node.advertise", "is inside the pool %s; the underlay must be outside it", c.Pool)
		}
	case c.Node.Advertise.Interface != "":
		if err := interfaceName(c.Node.Advertise.Interface); err != nil {
			errs.add("node.advertise", "must be an address, a network or an interface name; as a name it %w", err)
		}
	}
}

func validateMesh(c *Config, errs *Errors) {
	if c.Mesh.Port < 1 || c.Mesh.Port > 65535 {
		errs.add("mesh.port", "must be 1 to 65535")
	}
	for i, seed := range c.Mesh.Join {
		port := c.Mesh.Port
		if !errs.ok("mesh.port") {
			port = 1 // any valid port, because the fault of mesh.port is reported once, at its own key
		}
		hostPort, err := parseSeed(seed, port)
		if err != nil {
			errs.add("mesh.join", "%q %w", seed, err)
			continue
		}
		if a, err := netip.ParseAddrPort(hostPort); err == nil && errs.ok("pool") && c.Pool.Contains(a.Addr()) {
			errs.add("mesh.join", "%q is inside the pool %s; seeds are named by their underlay address", seed, c.Pool)
		}
		c.Mesh.Join[i] = hostPort
	}
	if !c.Mesh.Bootstrap && len(c.Mesh.Join) == 0 && errs.ok("mesh.join", "mesh.bootstrap") {
		errs.add("mesh.join", "this host knows no mesh: name the hosts to join (--join), or say mesh.bootstrap: true (--bootstrap) on the first host of a new mesh, and only there")
	}
	keyFileSource := errs.source(keyFileKey)
	switch {
	case !c.Mesh.Insecure && !filepath.IsAbs(c.Mesh.KeyFile):
		errs.add(keyFileKey, "must be an absolute path, unless mesh.insecure is true")
	case c.Mesh.Insecure && keyFileSource != defaultSource && c.Mesh.KeyFile != "":
		errs.add(insecureKey, "contradicts mesh.key_file: %q (%s); remove one of them", c.Mesh.KeyFile, keyFileSource)
	}
}

func validatePool(c *Config, errs *Errors) {
	pool := c.Pool
	switch {
	case !pool.IsValid() || !pool.Addr().Is4():
		errs.add("pool", "must be an IPv4 network, like 172.17.0.0/16")
	case pool != pool.Masked():
		errs.add("pool", "has bits beyond its prefix length; the network is %s", pool.Masked())
	case pool.Bits() < minPoolBits || pool.Bits() >= maxPrefix:
		errs.add("pool", "must be a network of /%d to /%d", minPoolBits, maxPrefix-1)
	case usableAddr(pool.Addr()) != nil || pool.Addr().IsLoopback() || pool.Addr().IsLinkLocalUnicast():
		errs.add("pool", "is not a network for hosts; take one of your own, like 172.17.0.0/16")
	}
	if errs.ok("pool") && (c.Prefix <= pool.Bits() || c.Prefix > maxPrefix) {
		errs.add("prefix", "must be %d to %d, longer than the pool %s", pool.Bits()+1, maxPrefix, pool)
	}
	if c.Bip == (netip.Prefix{}) || !errs.ok("pool", "prefix", "bip") {
		return
	}
	first := c.Bip.Masked().Addr().Next()
	switch {
	case !c.Bip.Addr().Is4() || !pool.Contains(c.Bip.Addr()):
		errs.add("bip", "must be in the pool %s", pool)
	case c.Bip.Bits() != c.Prefix:
		errs.add("bip", "must have the prefix length %d, which is what prefix says", c.Prefix)
	case c.Bip.Addr() != first:
		errs.add("bip", "must be the first address of its subnet: %s", netip.PrefixFrom(first, c.Prefix))
	}
}

// Limits of the pool and the prefix, in bits. A pool larger than a class A
// network would contain the underlay. A subnet smaller than a /29 has no room
// for containers beside the bip.
const (
	minPoolBits = 8
	maxPrefix   = 29
)

func validateDevices(c *Config, errs *Errors) {
	transport, where, _ := strings.Cut(c.OVS.DB, ":")
	_, _, splitErr := net.SplitHostPort(where)
	if (transport != "unix" || !filepath.IsAbs(where)) && (transport != "tcp" || splitErr != nil) {
		errs.add("ovs.db", "must be unix:PATH with an absolute path, or tcp:HOST:PORT")
	}
	oneOf(errs, "ovs.datapath", c.OVS.Datapath, "", "system", "netdev")
	for _, device := range []struct{ key, name string }{
		{"ovs.bridge", c.OVS.Bridge},
		{"docker.bridge", c.Docker.Bridge},
	} {
		if err := interfaceName(device.name); err != nil {
			errs.add(device.key, "%w", err)
		}
	}
	if c.OVS.Bridge == c.Docker.Bridge && errs.ok("ovs.bridge", "docker.bridge") {
		errs.add("ovs.bridge", "must differ from docker.bridge: the one is Open vSwitch's, the other Docker's")
	}
}

const leastRetry = 10 * time.Second

func validateTunnel(c *Config, errs *Errors) {
	oneOf(errs, "tunnel.type", c.Tunnel.Type, "gre", "vxlan", "geneve")
	used := []string{c.Tunnel.Type}
	for _, t := range c.Tunnel.Fallback {
		if slices.Contains(used, t) {
			errs.add("tunnel.fallback", "has %s, which is tried already", t)
			continue
		}
		oneOf(errs, "tunnel.fallback", t, "gre", "vxlan", "geneve")
		used = append(used, t)
	}
	if len(used) > 1 && !c.Tunnel.BFD {
		errs.add("tunnel.fallback", "needs tunnel.bfd: true, because BFD tells whether a tunnel gets through")
	}
	if c.Tunnel.Retry < leastRetry {
		errs.add("tunnel.retry", "must be %s or more: each trial costs a pair up to 3 s", leastRetry)
	}
	for _, t := range used {
		if (t == "vxlan" || t == "geneve") && c.Tunnel.Key >= 1<<24 {
			errs.add("tunnel.key", "must be 0 to %d for %s: a network identifier has 24 bits", 1<<24-1, t)
		}
	}
}

// parseSeed completes a seed to host:port.
func parseSeed(seed string, port int) (string, error) {
	host, service := seed, strconv.Itoa(port)
	if addr, err := netip.ParseAddr(strings.Trim(seed, "[]")); err == nil && addr.Is6() {
		host = addr.String()
	} else if i := strings.LastIndex(seed, ":"); i >= 0 {
		host, service = strings.Trim(seed[:i], "[]"), seed[i+1:]
	}
	if p, err := strconv.ParseUint(service, 10, 16); err != nil || p == 0 {
		return "", errors.New("must have a port of 1 to 65535")
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		if err := usableAddr(addr); err != nil {
			return "", err
		}
	case strings.Trim(host, "0123456789.") == "" || !hostChars(host):
		return "", errors.New("must be an address or a host name, with :PORT or without")
	}
	return net.JoinHostPort(host, service), nil
}

// usableAddr returns an error if the address cannot belong to one host.
func usableAddr(addr netip.Addr) error {
	if !lease.UsableUnderlay(addr) {
		return errors.New("is not the address of a host that others can reach")
	}
	return nil
}

// interfaceName returns an error if Linux would not accept name as the name of
// a device. A name has at most 15 bytes, because IFNAMSIZ of netdevice(7)
// includes a NUL.
func interfaceName(name string) error {
	switch {
	case name == "":
		return errors.New("must not be empty")
	case len(name) > 15:
		return fmt.Errorf("has %d bytes; an interface name may have 15", len(name))
	case name == "." || name == ".." || strings.ContainsAny(name, "/: \t\n"):
		return errors.New("is no interface name: it has a slash, colon or white space")
	}
	return nil
}

func hostChars(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

func oneOf(errs *Errors, key, value string, choices ...string) {
	if slices.Contains(choices, value) {
		return
	}
	quoted := make([]string, len(choices))
	for i, choice := range choices {
		quoted[i] = strconv.Quote(choice)
	}
	errs.add(key, "must be one of %s", strings.Join(quoted, ", "))
}
