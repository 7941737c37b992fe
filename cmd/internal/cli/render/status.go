package render

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
)

// Status formats the output of `gremesh status` as text.
func Status(s mesh.Status, p Styler) string {
	var b strings.Builder
	writeHost(&b, s, p)
	if len(s.Peers) > 0 {
		b.WriteString("\n" + peersTable(s.Host.Name, s.Host.ID, s.Peers, p) + "\n")
	}
	b.WriteString("\n")
	if own := s.Host.Tunnels; own.Wanted > 0 {
		fmt.Fprintf(&b, "this host: %d of %d tunnels up\n", own.Up, own.Wanted)
	}
	b.WriteString(totals(s.Mesh) + "\n")
	for _, pending := range s.Pending {
		fmt.Fprintf(&b, "\n%s %s\n", p.in(text.FgYellow, "~"), pending)
	}
	writeProblems(&b, s.Problems, p)
	return b.String()
}

// writeHost writes the facts about this host, one on each line.
func writeHost(b *strings.Builder, s mesh.Status, p Styler) {
	h := s.Host
	lease := p.state(h.Lease)
	if h.Waiting != "" {
		lease += ": " + h.Waiting
	}
	subnet := "none yet"
	if h.Subnet.IsValid() {
		subnet = fmt.Sprintf("%s, bip %s, MTU %d", h.Subnet, h.Bip, h.MTU)
		if h.MTUBy != "" {
			subnet += fmt.Sprintf(" (the path to %s takes no more)", h.MTUBy)
		}
	}
	for _, fact := range []struct{ name, value string }{
		{"host", h.Name},
		{"id", h.ID},
		{"underlay", addrText(h.Underlay)},
		{"subnet", subnet},
		{"lease", lease},
		{"mesh", strings.TrimPrefix(s.Mesh.ID+", pool "+prefixText(s.Mesh.Pool), ", ")},
		{"tunnels", tunnelKind(s.Mesh.Tunnel)},
		{"agent", fmt.Sprintf("%s, up since %s", h.Version, h.Since.UTC().Format(time.DateTime+" UTC"))},
	} {
		if fact.value == "" {
			continue
		}
		fmt.Fprintf(b, "%-10s%s\n", fact.name, fact.value)
	}
}

// tunnelKind describes the settings that all tunnels share. It does not show
// the key; `gremesh config show` does.
func tunnelKind(t mesh.TunnelKind) string {
	if t.Type == "" { // not known yet, or the agent has an earlier version
		return ""
	}
	kind := t.Type
	if len(t.Fallback) > 0 {
		kind += ", fallback " + strings.Join(t.Fallback, " ")
	}
	if t.Keyed {
		return kind + ", with a key"
	}
	return kind + ", no key: `gremesh config set tunnel.key random` gives the mesh one"
}

// peersTable formats the peers of the host with the given name and ID.
func peersTable(name, id string, peers []mesh.PeerStatus, p Styler) string {
	var labels hostLabels
	labels.add(name, id)
	for _, peer := range peers {
		labels.add(peer.Name, peer.ID)
	}
	t := newTable()
	t.SuppressEmptyColumns() // NOT DIRECT and ERROR appear only if a peer has one
	t.AppendHeader(table.Row{"PEER", "UNDERLAY", "SUBNET", "STATE", "VIA", "TUNNEL", "TYPE", "BFD", "PATH", "RTT", "LOSS", "RX", "TX", "NOT DIRECT", "ERROR"})
	for _, peer := range peers {
		tunnel := peer.Tunnel
		path, rtt, loss := pathWords(peer.Path)
		rx, tx := "-", "-"
		if tunnel.Port != "" {
			rx, tx = byteCount(tunnel.RxBytes), byteCount(tunnel.TxBytes)
		}
		t.AppendRow(table.Row{
			labels.label(peer.Name, peer.ID), addrText(peer.Underlay), prefixText(peer.Subnet), p.state(peer.State), cmp.Or(peer.Via, "-"),
			cmp.Or(tunnel.Port, "-"), cmp.Or(tunnel.Type, "-"), cmp.Or(p.state(tunnel.BFD), "-"), p.state(path), rtt, loss, rx, tx, peer.Indirect,
			p.in(text.FgRed, tunnel.Error),
		})
	}
	t.SetColumnConfigs([]table.ColumnConfig{
		{Name: "RTT", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "LOSS", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "RX", Align: text.AlignRight, AlignHeader: text.AlignRight},
		{Name: "TX", Align: text.AlignRight, AlignHeader: text.AlignRight},
	})
	return t.Render()
}

// totals summarises the mesh on one line.
func totals(m mesh.TotalStatus) string {
	hosts := hostCount(m.Hosts, m.Failed)
	return fmt.Sprintf("%s, %d of %d directed tunnels up, as each host reports", hosts, m.TunnelsUp, m.Tunnels)
}

// hostCount describes how many hosts are alive and how many have failed.
func hostCount(alive, failed int) string {
	hosts := fmt.Sprintf("%d hosts", alive)
	if alive == 1 {
		hosts = "1 host"
	}
	if failed > 0 {
		hosts += fmt.Sprintf(", %d failed", failed)
	}
	return hosts
}
