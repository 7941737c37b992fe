package main

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
func validate(c *Config, r *faults) {
	validateNode(c, r)
	validateMesh(c, r)
	validatePool(c, r)
	validateDevices(c, r)
	validateTunnel(c, r)
	validateMasquerade(c.Masquerade, r)

	for _, path := range []struct{ key, value string }{
		{"docker.daemon_json", c.Docker.DaemonJSON},
		{"state_dir", c.StateDir},
		{"control", c.Control},
	} {
		if !filepath.IsAbs(path.value) {
			r.add(path.key, "must be an absolute path")
		}
	}
	if len(c.Control) > maxSocketPath {
		r.add("control", "has %d bytes; a unix socket's path may have %d", len(c.Control), maxSocketPath)
	}
	if path, ok := strings.CutPrefix(c.Docker.Socket, "unix://"); !ok || !filepath.IsAbs(path) {
		r.add("docker.socket", "must be unix://PATH with an absolute path, like unix:///var/run/docker.sock")
	} else if len(path) > maxSocketPath {
		r.add("docker.socket", "has %d bytes; a unix socket's path may have %d", len(path), maxSocketPath)
	}
	if c.PeerGrace < 0 {
		r.add("peer_grace", "must not be negative")
	}
	if c.LeaseTTL < 0 {
		r.add("lease_ttl", "must not be negative; 0 is for ever")
	}
	oneOf(r, "route", c.Route, perPeer, aggregate)
	oneOf(r, "direct", c.Direct, never, sameSubnet)
	if c.Route == aggregate && c.Direct == sameSubnet {
		r.add("direct", "needs route: per-peer")
	}
	oneOf(r, "flood", c.Flood, "on", "off")
	if c.Route == aggregate && c.Flood == "off" && r.source("flood") != defaultSource {
		r.add("flood", "must be on with route: aggregate, because hosts then ask each other for containers' addresses by broadcast")
	}
	if at := c.Metrics.Listen; at.IsValid() && at.Port() == 0 {
		r.add("metrics.listen", "must have a port of 1 to 65535")
	}
	oneOf(r, "log.format", c.Log.Format, "auto", "text", "json")
}

// maxSocketPath is the length of sun_path without its final NUL (unix(7)).
const maxSocketPath = 107

// maxNameLen is the longest host name that Linux allows (gethostname(2)).
const maxNameLen = 64

func validateNode(c *Config, r *faults) {
	if !hostChars(c.Node.Name) || len(c.Node.Name) > maxNameLen {
		r.add("node.name", "must be 1 to %d letters, digits, dots, dashes or underscores", maxNameLen)
	}
	addr, network := c.Node.Advertise.Addr, c.Node.Advertise.Network
	switch {
	case network.IsValid():
		switch {
		case network != network.Masked():
			r.add("node.advertise", "has bits beyond its prefix length; the network is %s", network.Masked())
		case r.ok("pool") && c.Pool.Bits() <= network.Bits() && c.Pool.Contains(network.Addr()):
			r.add("node.advertise", "is inside the pool %s; the underlay must be outside it", c.Pool)
		}
	case addr.IsValid():
		if err := usableAddr(addr); err != nil {
			r.add("node.advertise", "%w", err)
		} else if r.ok("pool") && c.Pool.Contains(addr) {
			r.add("node.advertise", "is inside the pool %s; the underlay must be outside it", c.Pool)
		}
	case c.Node.Advertise.Interface != "":
		if err := interfaceName(c.Node.Advertise.Interface); err != nil {
			r.add("node.advertise", "must be an address, a network or an interface name; as a name it %w", err)
		}
	}
}

func validateMesh(c *Config, r *faults) {
	if c.Mesh.Port < 1 || c.Mesh.Port > 65535 {
		r.add("mesh.port", "must be 1 to 65535")
	}
	for i, seed := range c.Mesh.Join {
		port := c.Mesh.Port
		if !r.ok("mesh.port") {
			port = 1 // any valid port, because the fault of mesh.port is reported once, at its own key
		}
		hostPort, err := parseSeed(seed, port)
		if err != nil {
			r.add("mesh.join", "%q %w", seed, err)
			continue
		}
		if a, err := netip.ParseAddrPort(hostPort); err == nil && r.ok("pool") && c.Pool.Contains(a.Addr()) {
			r.add("mesh.join", "%q is inside the pool %s; seeds are named by their underlay address", seed, c.Pool)
		}
		c.Mesh.Join[i] = hostPort
	}
	if !c.Mesh.Bootstrap && len(c.Mesh.Join) == 0 && r.ok("mesh.join", "mesh.bootstrap") {
		r.add("mesh.join", "this host knows no mesh: name the hosts to join (--join), or say mesh.bootstrap: true (--bootstrap) on the first host of a new mesh, and only there")
	}
	keyFileSource := r.source(keyFileKey)
	switch {
	case !c.Mesh.Insecure && !filepath.IsAbs(c.Mesh.KeyFile):
		r.add(keyFileKey, "must be an absolute path, unless mesh.insecure is true")
	case c.Mesh.Insecure && keyFileSource != defaultSource && c.Mesh.KeyFile != "":
		r.add(insecureKey, "contradicts mesh.key_file: %q (%s); remove one of them", c.Mesh.KeyFile, keyFileSource)
	}
}

func validatePool(c *Config, r *faults) {
	pool := c.Pool
	switch {
	case !pool.IsValid() || !pool.Addr().Is4():
		r.add("pool", "must be an IPv4 network, like 172.17.0.0/16")
	case pool != pool.Masked():
		r.add("pool", "has bits beyond its prefix length; the network is %s", pool.Masked())
	case pool.Bits() < minPoolBits || pool.Bits() >= maxPrefix:
		r.add("pool", "must be a network of /%d to /%d", minPoolBits, maxPrefix-1)
	case usableAddr(pool.Addr()) != nil || pool.Addr().IsLoopback() || pool.Addr().IsLinkLocalUnicast():
		r.add("pool", "is not a network for hosts; take one of your own, like 172.17.0.0/16")
	}
	if r.ok("pool") && (c.Prefix <= pool.Bits() || c.Prefix > maxPrefix) {
		r.add("prefix", "must be %d to %d, longer than the pool %s", pool.Bits()+1, maxPrefix, pool)
	}
	if c.Bip == (netip.Prefix{}) || !r.ok("pool", "prefix", "bip") {
		return
	}
	first := c.Bip.Masked().Addr().Next()
	switch {
	case !c.Bip.Addr().Is4() || !pool.Contains(c.Bip.Addr()):
		r.add("bip", "must be in the pool %s", pool)
	case c.Bip.Bits() != c.Prefix:
		r.add("bip", "must have the prefix length %d, which is what prefix says", c.Prefix)
	case c.Bip.Addr() != first:
		r.add("bip", "must be the first address of its subnet: %s", netip.PrefixFrom(first, c.Prefix))
	}
}

// Limits of the pool and the prefix, in bits. A pool larger than a class A
// network would contain the underlay. A subnet smaller than a /29 has no room
// for containers beside the bip.
const (
	minPoolBits = 8
	maxPrefix   = 29
)

func validateDevices(c *Config, r *faults) {
	transport, where, _ := strings.Cut(c.OVS.DB, ":")
	_, _, splitErr := net.SplitHostPort(where)
	if (transport != "unix" || !filepath.IsAbs(where)) && (transport != "tcp" || splitErr != nil) {
		r.add("ovs.db", "must be unix:PATH with an absolute path, or tcp:HOST:PORT")
	}
	oneOf(r, "ovs.datapath", c.OVS.Datapath, "", "system", "netdev")
	for _, device := range []struct{ key, name string }{
		{"ovs.bridge", c.OVS.Bridge},
		{"docker.bridge", c.Docker.Bridge},
	} {
		if err := interfaceName(device.name); err != nil {
			r.add(device.key, "%w", err)
		}
	}
	if c.OVS.Bridge == c.Docker.Bridge && r.ok("ovs.bridge", "docker.bridge") {
		r.add("ovs.bridge", "must differ from docker.bridge: the one is Open vSwitch's, the other Docker's")
	}
}

const leastRetry = 10 * time.Second

func validateTunnel(c *Config, r *faults) {
	oneOf(r, "tunnel.type", c.Tunnel.Type, "gre", "vxlan", "geneve")
	used := []string{c.Tunnel.Type}
	for _, t := range c.Tunnel.Fallback {
		if slices.Contains(used, t) {
			r.add("tunnel.fallback", "has %s, which is tried already", t)
			continue
		}
		oneOf(r, "tunnel.fallback", t, "gre", "vxlan", "geneve")
		used = append(used, t)
	}
	if len(used) > 1 && !c.Tunnel.BFD {
		r.add("tunnel.fallback", "needs tunnel.bfd: true, because BFD tells whether a tunnel gets through")
	}
	if c.Tunnel.Retry < leastRetry {
		r.add("tunnel.retry", "must be %s or more: each trial costs a pair up to 3 s", leastRetry)
	}
	for _, t := range used {
		if (t == "vxlan" || t == "geneve") && c.Tunnel.Key >= 1<<24 {
			r.add("tunnel.key", "must be 0 to %d for %s: a network identifier has 24 bits", 1<<24-1, t)
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

func oneOf(r *faults, key, value string, choices ...string) {
	if slices.Contains(choices, value) {
		return
	}
	quoted := make([]string, len(choices))
	for i, choice := range choices {
		quoted[i] = strconv.Quote(choice)
	}
	r.add(key, "must be one of %s", strings.Join(quoted, ", "))
}
