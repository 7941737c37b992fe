package filter

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

// ErrUnable means that nothing can be observed, because this machine lacks
// nft(8) or a kernel with nftables, or because nft crashes. Without nft or
// nftables, nothing on this machine is ours.
var ErrUnable = errors.New("containers' traffic to other hosts may be masqueraded or dropped")

var (
	errNoNFT    = fmt.Errorf("%w: there is no nft: install nftables", ErrUnable)
	errNoKernel = fmt.Errorf("%w: this kernel has no nftables: run one with CONFIG_NF_TABLES, or load the module nf_tables", ErrUnable)
)

// look reads the state that Observe returns.
func (h *Host) look(ctx context.Context) (State, error) {
	chains, err := listChains(ctx)
	if err != nil {
		return State{}, err
	}
	var have State
	samples := ourTables(sample)
	if !slices.ContainsFunc(chains, func(c nftChain) bool { return c.Table == tableName }) { // as on a new host
		h.probeAll(ctx, samples...)
	}
	for _, our := range samples {
		listing := have.ours(our.family)
		if *listing, err = listTable(ctx, chains, string(our.family)); err != nil {
			return State{}, err
		}
		if *listing != nil {
			continue
		}
		able, err := h.takes(ctx, our)
		if err != nil {
			return State{}, err
		}
		if !able {
			have.MissingFamilies = append(have.MissingFamilies, string(our.family))
		}
	}
	if have.Filters, err = listFilters(ctx, chains); err != nil {
		return State{}, err
	}
	have.Native, have.Unread, err = listNative(ctx, chains, have.Filters)
	return have, err
}

// listTable reads our table of a family. It returns nil if there is none. It
// cannot read several tables with one call, because nft 1.0.6 fails if their
// families differ.
func listTable(ctx context.Context, chains []nftChain, family string) ([]string, error) {
	if !slices.ContainsFunc(chains, func(c nftChain) bool { return c.Family == family && c.Table == tableName }) {
		return nil, nil
	}
	// Print priorities and protocols as numbers, because their names differ
	// between versions.
	out, err := run(ctx, "nft", "-s", "-y", "-p", "list", "table", family, tableName)
	if err != nil {
		return nil, err
	}
	return parseListing(string(out)), nil
}

// nftChain is a chain as libnftables-json(5) describes it. A chain without a
// hook is reached only by jumps.
type nftChain struct {
	Family, Table, Name, Hook, Policy string
}

func listChains(ctx context.Context) ([]nftChain, error) {
	out, err := run(ctx, "nft", "-j", "list", "chains")
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errNoNFT
	}
	if errors.Is(err, errDied) {
		return nil, fmt.Errorf("%w: %w: upgrade nftables", ErrUnable, err)
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

// object is one object of nft's list, with the parts that are used here.
type object struct {
	Chain *nftChain
	Rule  *nftRule
	Map   *nftMap
}

// nftRule is a rule. Its handle is the number that nft -a shows.
type nftRule struct {
	Chain  string
	Handle int
	Expr   []map[string]json.RawMessage
}

// nftMap is a named map. In a verdict map, each element is a pair of a key and
// a verdict.
type nftMap struct {
	Name string
	Elem []json.RawMessage
}

func parseObjects(listing []byte) ([]object, error) {
	var list struct{ Nftables []object }
	err := json.Unmarshal(listing, &list)
	return list.Nftables, err
}

// listFilters reads the filter tables of iptables that are in use.
func listFilters(ctx context.Context, chains []nftChain) ([]Filter, error) {
	var all []Filter
	if slices.ContainsFunc(chains, func(c nftChain) bool { return c.Family == "ip" && c.Table == "filter" }) {
		f, err := listFilter(ctx, "iptables-nft")
		if err != nil {
			return nil, err
		}
		// A table without chains does not belong to iptables. It only has the
		// same name.
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

// legacyFilter reports whether iptables-legacy has a filter table. The kernel
// lists that table in a file after its first use in this namespace.
func legacyFilter() (bool, error) {
	names, err := os.ReadFile("/proc/self/net/ip_tables_names")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the names of iptables-legacy's tables: %w", err)
	}
	return slices.Contains(strings.Fields(string(names)), "filter"), nil
}

// legacyTool is the command for the filter table that nftables does not know.
const legacyTool = "iptables-legacy"

func (f Filter) legacy() bool { return f.Tool == legacyTool }

// listFilter reads a filter table with iptables-save. Unlike iptables -S, that
// command takes no lock.
func listFilter(ctx context.Context, tool string) (Filter, error) {
	save := tool + "-save"
	if _, err := exec.LookPath(save); err != nil { // a system with only one kind of iptables
		tool, save = "iptables", "iptables-save"
	}
	out, err := run(ctx, save, "-t", "filter")
	if err != nil {
		return Filter{}, err
	}
	if bytes.Contains(out, []byte("use 'nft' tool")) {
		// iptables cannot read this table. It lists empty chains instead.
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

// listNative reads the tables that IPv4 traffic is forwarded through, except
// our own and those of iptables. unread names the tables that nft cannot read,
// with the reason.
func listNative(ctx context.Context, chains []nftChain, filters []Filter) (all []Native, unread []string, err error) {
	done := map[string]bool{}
	for _, c := range chains {
		isIPTables := c.Family == "ip" && c.Table == "filter" &&
			slices.ContainsFunc(filters, func(f Filter) bool { return !f.legacy() })
		name := c.Family + " " + c.Table
		if c.Hook != "forward" || c.Family != "ip" && c.Family != "inet" || c.Table == tableName || isIPTables || done[name] {
			continue
		}
		done[name] = true
		out, err := run(ctx, "nft", "-j", "list", "table", c.Family, c.Table)
		var text []byte
		if err == nil {
			text, err = run(ctx, "nft", "-a", "-s", "list", "table", c.Family, c.Table)
		}
		switch {
		case errors.Is(err, errDied):
			unread = append(unread, fmt.Sprintf("nftables table %s cannot be read: %v", name, err))
		case err != nil:
			return nil, nil, err
		default:
			all = append(all, Native{Family: c.Family, Name: c.Table, JSON: out, Text: string(text)})
		}
	}
	return all, unread, nil
}
