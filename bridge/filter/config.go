package filter

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Config is the operator's configuration of masquerading. It has the keys of
// ip-masq-agent (kubernetes-sigs/ip-masq-agent, README). The zero Config is the
// default.
type Config struct {
	// NonMasqueradeCIDRs are destinations that see the containers' own
	// addresses. nil means the default, see Compile. An empty list means the
	// pool only.
	NonMasqueradeCIDRs []netip.Prefix
	// CIDRLimit is the largest number of NonMasqueradeCIDRs. 0 means 64.
	CIDRLimit int
	// KeepLinkLocal keeps the containers' addresses on the way to
	// 169.254.0.0/16. It is set by masqLinkLocal: false. By default Docker
	// masquerades this traffic, because a cloud's metadata service and resolver
	// answer only to hosts.
	KeepLinkLocal bool
	// MasqLinkLocalIPv6 concerns fe80::/10. It is accepted but has no effect,
	// because the pool is IPv4.
	MasqLinkLocalIPv6 bool
	// ResyncInterval is the time between two reads of a File if no event
	// reports a change. 0 means one minute.
	ResyncInterval time.Duration
}

const (
	defaultLimit  = 64
	defaultResync = time.Minute
)

// Check returns all errors in the values, joined. They use the names of the
// keys.
func (c Config) Check() error {
	var errs []error
	for _, p := range c.NonMasqueradeCIDRs {
		if err := checkCIDR(p); err != nil {
			errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs: %w", err))
		}
	}
	switch {
	case c.CIDRLimit < 0:
		errs = append(errs, fmt.Errorf("cidrLimit: %d is not allowed: write a number above 0", c.CIDRLimit))
	case len(c.NonMasqueradeCIDRs) > c.limit():
		errs = append(errs, fmt.Errorf("nonMasqueradeCIDRs: %d of them, and cidrLimit allows %d: remove some, or raise cidrLimit",
			len(c.NonMasqueradeCIDRs), c.limit()))
	}
	if c.ResyncInterval != 0 && c.ResyncInterval < time.Second {
		errs = append(errs, fmt.Errorf("resyncInterval: %s is not allowed: write 1s or more", c.ResyncInterval))
	}
	return errors.Join(errs...)
}

// Warnings returns a text for each value that is allowed but probably a
// mistake.
func (c Config) Warnings() []string {
	var all []string
	for _, p := range c.NonMasqueradeCIDRs {
		switch {
		case p.Bits() == 0 && p.Addr().Is4():
			all = append(all, fmt.Sprintf("nonMasqueradeCIDRs: with %s no traffic is masqueraded: containers reach nothing that has no route back to the pool; remove it, unless all have one", p))
		case !p.Addr().Is4():
			all = append(all, fmt.Sprintf("nonMasqueradeCIDRs: %s has no effect: the pool is IPv4", p))
		}
	}
	if c.MasqLinkLocalIPv6 {
		all = append(all, "masqLinkLocalIPv6 has no effect: the pool is IPv4")
	}
	return all
}

func (c Config) limit() int {
	if c.CIDRLimit == 0 {
		return defaultLimit
	}
	return c.CIDRLimit
}

func (c Config) resync() time.Duration {
	if c.ResyncInterval == 0 {
		return defaultResync
	}
	return c.ResyncInterval
}

// checkCIDR returns an error if p cannot be used as a CIDR. Like ip-masq-agent,
// it refuses bits that are set behind the prefix length. It cannot know whether
// the address or the length is wrong.
func checkCIDR(p netip.Prefix) error {
	switch {
	case !p.IsValid():
		return errors.New("a CIDR is empty or not valid: write one like 10.0.0.0/8")
	case p.Addr().Is4In6():
		return fmt.Errorf("%s is an IPv4 address written as IPv6: write it as IPv4", p)
	case p != p.Masked():
		return fmt.Errorf("%s has bits set behind its length: write %s, or a longer length", p, p.Masked())
	}
	return nil
}
