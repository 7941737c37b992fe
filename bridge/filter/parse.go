package filter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Parse reads a file in the format of ip-masq-agent: YAML, or JSON, which is
// YAML, too. It reports all mistakes at once, each with its line. The case of
// keys does not matter, as in ip-masq-agent. An unknown key is an error,
// because it is probably a typing mistake. An empty file means the default, and
// so does a key without a value.
func Parse(text []byte) (Config, error) {
	if t := bytes.TrimSpace(text); len(t) > 0 && t[0] == '{' {
		// JSON allows two things that this YAML parser does not: tabs as
		// indentation, and \/ for a slash (RFC 8259, section 7). A JSON string
		// cannot have a tab, so all tabs can be replaced.
		text = []byte(strings.NewReplacer("\t", " ", `\/`, "/").Replace(string(text)))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return Config{}, nil
	case err != nil:
		return Config{}, fmt.Errorf("neither YAML nor JSON: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is more behind the first document: remove what begins with ---")
	}

	p := parser{seen: map[string]bool{}}
	root := doc.Content[0]
	switch {
	case root.ShortTag() == "!!null":
		return Config{}, nil
	case root.Kind != yaml.MappingNode:
		return Config{}, fmt.Errorf("line %d: want keys and values, like nonMasqueradeCIDRs: [10.0.0.0/8]", root.Line)
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		p.key(root.Content[i], root.Content[i+1])
	}
	if len(p.errs) == 0 {
		p.errs = append(p.errs, p.config.Check())
	}
	if err := errors.Join(p.errs...); err != nil {
		return Config{}, err
	}
	return p.config, nil
}

type parser struct {
	config Config
	seen   map[string]bool
	errs   []error
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("line %d: %w", n.Line, fmt.Errorf(format, args...)))
}

func (p *parser) key(key, value *yaml.Node) {
	name := strings.ToLower(key.Value)
	if p.seen[name] {
		p.fail(key, "%s is there twice: remove one", key.Value)
		return
	}
	p.seen[name] = true
	if value.ShortTag() == "!!null" {
		value = nil
	}
	switch name {
	case "nonmasqueradecidrs":
		p.cidrs(key, value)
	case "masqlinklocal":
		masq := true
		p.boolean(key, value, &masq)
		p.config.KeepLinkLocal = !masq
	case "masqlinklocalipv6":
		p.boolean(key, value, &p.config.MasqLinkLocalIPv6)
	case "cidrlimit":
		p.limit(key, value)
	case "resyncinterval":
		p.interval(key, value)
	default:
		p.fail(key, "unknown key %q: the keys are nonMasqueradeCIDRs, masqLinkLocal, masqLinkLocalIPv6, resyncInterval and cidrLimit", key.Value)
	}
}

func (p *parser) cidrs(key, value *yaml.Node) {
	if value == nil {
		return
	}
	if value.Kind != yaml.SequenceNode {
		p.fail(value, "%s: want a list, like [10.0.0.0/8]", key.Value)
		return
	}
	all := []netip.Prefix{} // not nil: an empty list is not the default
	for _, n := range value.Content {
		cidr, err := netip.ParsePrefix(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			p.fail(n, "%s: %q is no CIDR: write one like 10.0.0.0/8", key.Value, n.Value)
			continue
		}
		if err := checkCIDR(cidr); err != nil {
			p.fail(n, "%s: %w", key.Value, err)
			continue
		}
		all = append(all, cidr)
	}
	p.config.NonMasqueradeCIDRs = all
}

func (p *parser) boolean(key, value *yaml.Node, to *bool) {
	if value == nil {
		return
	}
	if value.ShortTag() != "!!bool" || value.Decode(to) != nil {
		p.fail(value, "%s: %q is not allowed: write true or false", key.Value, value.Value)
	}
}

func (p *parser) limit(key, value *yaml.Node) {
	if value == nil {
		return
	}
	n, err := strconv.Atoi(value.Value)
	if value.ShortTag() != "!!int" || err != nil || n < 1 {
		p.fail(value, "%s: %q is not allowed: write a number above 0", key.Value, value.Value)
		return
	}
	p.config.CIDRLimit = n
}

func (p *parser) interval(key, value *yaml.Node) {
	if value == nil {
		return
	}
	d, err := time.ParseDuration(value.Value)
	if value.ShortTag() != "!!str" || err != nil || d < time.Second {
		p.fail(value, "%s: %q is not allowed: write 1s or more, with a unit, like 60s", key.Value, value.Value)
		return
	}
	p.config.ResyncInterval = d
}
