package masq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// ErrUnable is why nothing can be seen on a machine that lacks nft(8), or a
// kernel for it, and why nothing there is ours.
var ErrUnable = errors.New("containers' traffic to other hosts may be masqueraded or dropped")

var (
	errNoNFT    = fmt.Errorf("%w: there is no nft: install nftables", ErrUnable)
	errNoKernel = fmt.Errorf("%w: this kernel has no nftables: run one with CONFIG_NF_TABLES, or load the module nf_tables", ErrUnable)
)

// look reads what Observe returns.
func (h *Host) look(ctx context.Context) (Actual, error) {
	chains, err := listChains(ctx)
	if err != nil {
		return Actual{}, err
	}
	var have Actual
	if !slices.ContainsFunc(chains, func(c nftChain) bool { return c.Table == tableName }) { // as on a new host
		h.takesAll(ctx, natTable(Rules{}), quietTable(Rules{}))
	}
	for _, our := range []struct {
		table
		listing *[]string
	}{{natTable(Rules{}), &have.Table}, {quietTable(Rules{}), &have.Quiet}} {
		family := string(our.family)
		if *our.listing, err = listTable(ctx, chains, family); err != nil {
			return Actual{}, err
		}
		if *our.listing != nil {
			continue
		}
		able, err := h.takes(ctx, our.table)
		if err != nil {
			return Actual{}, err
		}
		if !able {
			have.Lacks = append(have.Lacks, family)
		}
	}
	if have.Filters, err = listFilters(ctx, chains); err != nil {
		return Actual{}, err
	}
	have.Native, err = listNative(ctx, chains, have.Filters)
	return have, err
}

// listTable reads our table of a family.
func listTable(ctx context.Context, chains []nftChain, family string) ([]string, error) {
	if !slices.ContainsFunc(chains, func(c nftChain) bool { return c.Family == family && c.Table == tableName }) {
		return nil, nil
	}
	out, err := run(ctx, "nft", "-s", "-y", "list", "table", family, tableName)
	if err != nil {
		return nil, err
	}
	return parseListing(string(out)), nil
}

// nftChain is a chain as libnftables-json(5) describes it; without a hook it
// is one that others jump to.
type nftChain struct {
	Family, Table, Name, Hook, Policy string
}

func listChains(ctx context.Context) ([]nftChain, error) {
	out, err := run(ctx, "nft", "-j", "list", "chains")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errNoNFT
	}
	if err != nil && strings.Contains(err.Error(), "initialize Netlink socket: Protocol not supported") {
		return nil, errNoKernel
	}
	if err != nil {
		return nil, err
	}
	objects, err := parseObjects(out)
	if err != nil {
		return nil, fmt.Errorf("nft -j list chains: %w", err)
	}
	var chains []nftChain
	for _, o := range objects {
		if o.Chain != nil {
			chains = append(chains, *o.Chain)
		}
	}
	return chains, nil
}

// object is one of nft's list, as far as it is of use here.
type object struct {
	Chain *nftChain
	Rule  *nftRule
}

// nftRule is a rule; its handle is the number that nft -a shows.
type nftRule struct {
	Chain  string
	Handle int
	Expr   []map[string]json.RawMessage
}

func parseObjects(listing []byte) ([]object, error) {
	var list struct{ Nftables []object }
	err := json.Unmarshal(listing, &list)
	return list.Nftables, err
}

// listFilters reads those of iptables' filter tables that are in use.
func listFilters(ctx context.Context, chains []nftChain) ([]Filter, error) {
	var all []Filter
	if slices.ContainsFunc(chains, func(c nftChain) bool { return c.Family == "ip" && c.Table == "filter" }) {
		f, err := listFilter(ctx, "iptables-nft")
		if err != nil {
			return nil, err
		}
		// Without chains the table is nft's own, and has but its name.
		if len(f.Chains) > 0 {
			all = append(all, f)
		}
	}
	legacy, err := legacyFilter()
	if err != nil {
		return nil, err
	}
	if legacy {
		f, err := listFilter(ctx, legacyTool)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// legacyFilter tells whether iptables-legacy has a filter table: the file is
// there, and lists it, once it was used in this namespace.
func legacyFilter() (bool, error) {
	names, err := os.ReadFile("/proc/self/net/ip_tables_names")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the names of iptables-legacy's tables: %w", err)
	}
	return slices.Contains(strings.Fields(string(names)), "filter"), nil
}

// legacyTool changes the filter table that nftables knows nothing of.
const legacyTool = "iptables-legacy"

func (f Filter) legacy() bool { return f.Tool == legacyTool }

// listFilter asks iptables-save, which unlike iptables -S takes no lock.
func listFilter(ctx context.Context, tool string) (Filter, error) {
	save := tool + "-save"
	if _, err := exec.LookPath(save); err != nil { // a system with one kind only
		tool, save = "iptables", "iptables-save"
	}
	out, err := run(ctx, save, "-t", "filter")
	if err != nil {
		return Filter{}, err
	}
	if bytes.Contains(out, []byte("use 'nft' tool")) {
		// A table that iptables can't read; it lists empty chains instead.
		return Filter{}, nil
	}
	return Filter{Tool: tool, Chains: parseSave(out)}, nil
}

func parseSave(text []byte) map[string]Chain {
	chains := map[string]Chain{}
	for line := range bytes.Lines(text) {
		words := strings.SplitN(strings.TrimSpace(string(line)), " ", 3)
		switch name, isChain := strings.CutPrefix(words[0], ":"); {
		case isChain && len(words) > 1:
			chains[name] = Chain{Policy: words[1]}
		case words[0] == "-A" && len(words) == 3:
			c := chains[words[1]]
			c.Rules = append(c.Rules, words[2])
			chains[words[1]] = c
		}
	}
	return chains
}

// listNative reads the tables that IPv4 traffic is forwarded through, but for
// those of iptables.
func listNative(ctx context.Context, chains []nftChain, filters []Filter) ([]Native, error) {
	var all []Native
	for _, c := range chains {
		isIPTables := c.Family == "ip" && c.Table == "filter" &&
			slices.ContainsFunc(filters, func(f Filter) bool { return !f.legacy() })
		known := slices.ContainsFunc(all, func(n Native) bool { return n.Family == c.Family && n.Name == c.Table })
		if c.Hook != "forward" || c.Family != "ip" && c.Family != "inet" || isIPTables || known {
			continue
		}
		out, err := run(ctx, "nft", "-j", "list", "table", c.Family, c.Table)
		if err != nil {
			return nil, err
		}
		text, err := run(ctx, "nft", "-a", "-s", "list", "table", c.Family, c.Table)
		if err != nil {
			return nil, err
		}
		all = append(all, Native{Family: c.Family, Name: c.Table, JSON: out, Text: string(text)})
	}
	return all, nil
}
