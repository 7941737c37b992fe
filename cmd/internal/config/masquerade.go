package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/gremesh/gremesh/bridge/filter"
)

const configFileKey = "masquerade.config_file"

// masq returns the masquerade settings from the keys other than config_file.
func (c MasqueradeConfig) masq() filter.Config {
	return filter.Config{
		NonMasqueradeCIDRs: c.NonMasqueradeCIDRs, CIDRLimit: c.CIDRLimit,
		KeepLinkLocal: !c.MasqLinkLocal, MasqLinkLocalIPv6: c.MasqLinkLocalIPv6, ResyncInterval: c.ResyncInterval,
	}
}

// Open opens config_file, or takes the settings from the other keys if
// config_file is not set.
func (c MasqueradeConfig) Open() *filter.File {
	if c.ConfigFile == "" {
		return filter.Inline(c.masq())
	}
	return filter.OpenFile(c.ConfigFile)
}

func validateMasquerade(c MasqueradeConfig, errs *Errors) {
	if err, ok := c.masq().Check().(interface{ Unwrap() []error }); ok {
		for _, e := range err.Unwrap() {
			key, what, _ := strings.Cut(e.Error(), ": ")
			errs.add("masquerade."+key, "%s", what)
		}
	}
	if c.ConfigFile == "" {
		return
	}
	if !filepath.IsAbs(c.ConfigFile) {
		errs.add(configFileKey, "must be an absolute path")
	}
	for _, key := range configKeys() {
		if inSection("masquerade")(key) && key != configFileKey && errs.source(key) != defaultSource {
			errs.add(configFileKey, "and %s exclude each other: write it into the file, or do without the file", key)
		}
	}
}

// parseCIDRs parses a list of networks, or text in which commas or white space
// separate them.
func parseCIDRs(value any) ([]netip.Prefix, error) {
	words, err := parseList(value)
	if err != nil {
		return nil, err
	}
	all := make([]netip.Prefix, len(words)) // not nil: an empty list means no networks, and not the default
	for i, word := range words {
		if all[i], err = netip.ParsePrefix(word); err != nil {
			return nil, fmt.Errorf("%q is no CIDR: write one like 10.0.0.0/8", word)
		}
	}
	return all, nil
}
