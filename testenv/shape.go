package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/gremesh/gremesh/mesh"
)

// shapeScript prints the kernel's part of a host's shape. It omits values that
// change by themselves: counters, indexes, carriers.
const shapeScript = `
ip -o link show dev docker0 | grep -Eo 'mtu [0-9]+|<.*\bUP\b.*>|link/ether [0-9a-f:]+' | sed 's/<.*>/up/; s/^/docker0 /'
ip -o link show dev br0 | grep -Eo 'mtu [0-9]+|master [^ ]+|<.*\bUP\b.*>' | sed 's/<.*>/up/; s/^/br0 /'
ip -o -4 address show dev docker0 | grep -Eo 'inet [^ ]+' | sed 's/^/docker0 /'
ip route show root 172.16.0.0/12 | sed 's/ linkdown//; s/^/route /'
ovs-ofctl --no-stats dump-flows br0 | grep actions | sed 's/^ */flow /' | sort
cd /proc/sys/net/ipv4 && grep . ip_forward conf/docker0/forwarding conf/all/send_redirects conf/docker0/send_redirects conf/docker0/arp_notify
`

const shapeQuery = `{"id": 0, "method": "transact", "params": ["Open_vSwitch",
	{"op": "select", "table": "Interface", "where": [["options", "!=", ["map", []]]],
	 "columns": ["name", "type", "options", "bfd", "mtu_request"]},
	{"op": "select", "table": "Port", "where": [["external_ids", "!=", ["map", []]]],
	 "columns": ["name", "protected", "tag", "external_ids"]},
	{"op": "select", "table": "Bridge", "where": [["name", "==", "br0"]],
	 "columns": ["name", "datapath_type", "fail_mode", "stp_enable", "controller", "external_ids"]}]}`

// Shape returns the host's part in the mesh as text, according to Open vSwitch,
// the kernel and daemon.json. It reads them without gremesh. If two shapes are
// equal, everything that gremesh manages is equal.
func (h *Host) Shape(ctx context.Context) (string, error) {
	rows, err := h.ovsRows(ctx, shapeQuery)
	if err != nil {
		return "", err
	}
	kernel, err := h.Exec(ctx, "sh", "-c", shapeScript)
	if err != nil {
		return "", err
	}
	keys, err := h.daemonKeys()
	if err != nil {
		return "", err
	}
	slices.Sort(rows)
	return fmt.Sprintf("%s\n%sdaemon.json bip %v mtu %v\n", strings.Join(rows, "\n"), kernel, keys["bip"], keys["mtu"]), nil
}

// ours returns the entries of an OVSDB map whose keys belong to gremesh. Other
// programs' entries are ignored.
func ours(ids any) string {
	pairs, _ := ids.([]any)[1].([]any) // ["map", [[key, value], …]], RFC 7047
	var keep []string
	for _, pair := range pairs {
		if text := fmt.Sprint(pair); strings.HasPrefix(text, "[gremesh") {
			keep = append(keep, text)
		}
	}
	return strings.Join(keep, " ")
}

var hurried = regexp.MustCompile(`,\["min_tx","[0-9]+"\]`)

// ovsRows returns the rows of gremesh that a request selects, one line for each
// row.
func (h *Host) ovsRows(ctx context.Context, query string) ([]string, error) {
	var reply struct {
		Result []struct {
			Rows []map[string]any `json:"rows"`
		} `json:"result"`
	}
	if err := h.askOVSDB(ctx, query, &reply); err != nil {
		return nil, err
	}
	var lines []string
	for _, result := range reply.Result {
		for _, row := range result.Rows {
			if ids, ok := row["external_ids"]; ok {
				if row["external_ids"] = ours(ids); row["external_ids"] == "" {
					continue
				}
			}
			line, err := json.Marshal(row)
			if err != nil {
				return nil, err
			}
			// gremesh changes this timer to speed up a handshake, and the
			// changed value may stay.
			lines = append(lines, hurried.ReplaceAllString(string(line), ""))
		}
	}
	return lines, nil
}

// Audit asks the host's agent for its audit, as `gremesh audit -o json` does.
func (h *Host) Audit(ctx context.Context) (mesh.Audit, error) {
	var audit mesh.Audit
	if err := get(ctx, h.control(), "/v1/audit", &audit); err != nil {
		return mesh.Audit{}, fmt.Errorf("%s: ask the agent: %w", h.Name, err)
	}
	return audit, nil
}

// clean returns an error for each finding of the host's own audit.
func (h *Host) clean(ctx context.Context) error {
	audit, err := h.Audit(ctx)
	if err != nil {
		return err
	}
	var found []error
	for _, d := range audit.Drift {
		found = append(found, fmt.Errorf("%s: %s", h.Name, d))
	}
	for _, p := range audit.Problems {
		found = append(found, fmt.Errorf("%s: audit can't tell: %s", h.Name, p.What))
	}
	return errors.Join(found...)
}

// Shapes holds the shapes of a lab's hosts at a time when the mesh was healthy.
type Shapes map[*Host]string

// Shapes records the shapes of all hosts. It returns an error if a host's audit
// is not clean.
func (l *Lab) Shapes(ctx context.Context) (Shapes, error) {
	shapes := Shapes{}
	var mu sync.Mutex
	return shapes, l.Each(func(h *Host) error {
		shape, err := h.Shape(ctx)
		mu.Lock()
		defer mu.Unlock()
		shapes[h] = shape
		return errors.Join(err, h.clean(ctx))
	})
}

// Repaired waits until the lab is as it was, or until ctx ends. It asks one
// host after another, because an audit is additional work for the agent that
// must repair.
func (l *Lab) Repaired(ctx context.Context, was Shapes) error {
	return Until(ctx, func() error {
		for _, h := range l.hosts {
			if err := Until(ctx, func() error { return h.clean(ctx) }); err != nil {
				return err
			}
		}
		return l.drift(ctx, was)
	})
}

// drift returns an error that names the differences from the earlier shapes.
// First no audit may find anything. Then the shapes are compared, because an
// audit may be wrong.
func (l *Lab) drift(ctx context.Context, was Shapes) error {
	if err := l.Each(func(h *Host) error { return h.clean(ctx) }); err != nil {
		return err
	}
	return l.Each(func(h *Host) error {
		is, err := h.Shape(ctx)
		if err == nil && is != was[h] {
			err = fmt.Errorf("%s is not what it was:\n%s", h.Name, difference(was[h], is))
		}
		return err
	})
}

// difference returns the lines that only one of two texts has.
func difference(was, is string) string {
	lines := func(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
	var all []string
	for _, line := range lines(was) {
		if !slices.Contains(lines(is), line) {
			all = append(all, "- "+line)
		}
	}
	for _, line := range lines(is) {
		if !slices.Contains(lines(was), line) {
			all = append(all, "+ "+line)
		}
	}
	return strings.Join(all, "\n")
}
