package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gremesh/gremesh/testenv"
)

// snapshot is all of a host that gremesh might change, by what shows it.
type snapshot map[string][]string

// volatile is what changes by itself: counters, timers, and what a bridge takes
// from the ports that it has or had.
var volatile = regexp.MustCompile(`counter packets \d+ bytes \d+|\[\d+:\d+\]|^#.*|` +
	`"[a-z_]*_timer": *[0-9.]+,?|"tso_max_size": *\d+,?|^net\.netfilter\.nf_conntrack_count.*|` +
	`^(cur_cfg|next_cfg|statistics|link_resets|status|lldp) +:.*`)

// look takes a snapshot of a host.
func look(t *testing.T, h *testenv.Host) snapshot {
	t.Helper()
	s := snapshot{}
	for _, shows := range [][]string{
		{"ip", "-d", "-j", "-p", "link"},
		{"ip", "-j", "-p", "address"},
		{"ip", "route", "show", "table", "all"},
		{"ip", "rule"},
		{"ip", "neighbour", "show", "nud", "permanent"},
		{"bridge", "fdb", "show", "state", "static"},
		{"nft", "list", "ruleset"},
		{"iptables-save"},
		{"sh", "-c", "sysctl -a 2>/dev/null | grep ^net"},
		{"ovsdb-client", "-f", "list", "dump", h.DB()},
	} {
		var lines []string
		for line := range strings.Lines(run(t, h, shows...)) {
			if line = strings.TrimRight(volatile.ReplaceAllString(line, ""), " \n"); line != "" {
				lines = append(lines, line)
			}
		}
		if shows[0] == "ip" && shows[1] == "route" {
			slices.Sort(lines)
		}
		s[strings.Join(shows, " ")] = lines
	}
	s["files"] = files(t, h)
	return s
}

// files are the host's, with their contents where those are the operator's;
// logs and what Docker and Open vSwitch keep are left out.
func files(t *testing.T, h *testenv.Host) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(h.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(h.Dir, path)
		if err != nil {
			return err
		}
		switch {
		case name == "docker" || name == "ovs":
			return fs.SkipDir
		case strings.HasSuffix(name, ".log"):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %s", info.Mode(), name)
		if name == filepath.Base(h.DaemonJSON()) {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", text)
		}
		all = append(all, line)
		return nil
	}))
	return all
}

// same fails the test when the host does not become as it was: the kernel takes
// up to a second to tell that a bridge has lost its last port.
func same(t *testing.T, h *testenv.Host, was snapshot) {
	t.Helper()
	testenv.Eventually(t, 5*time.Second, func() error {
		if d := cmp.Diff(was, look(t, h)); d != "" {
			return fmt.Errorf("%s is not as it was before gremesh:\n%s", h.Name, d)
		}
		return nil
	})
}
