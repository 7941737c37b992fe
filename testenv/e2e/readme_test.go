package e2e

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gremesh/gremesh/testenv"
	"github.com/gremesh/gremesh/testenv/kernel"
)

// TestREADMECommands types what the README says, on three hosts that nothing but
// the README's commands has made a mesh of.
func TestREADMECommands(t *testing.T) {
	needs(t, kernel.NFTablesIP)
	page := readme(t)
	l := start(t, testenv.Config{Hosts: 3, Docker: true})
	noRaces(t, l)
	must(t, os.Remove(l.KeyFile()))
	must(t, l.Each(func(h *testenv.Host) error { return h.WriteConfig(nil) }))
	run(t, l.Host(1), "gremesh", "keygen", l.KeyFile())
	for _, line := range page.agents {
		for _, name := range line.hosts {
			h := l.Host(int(name[1] - '0'))
			must(t, h.StartAgent(t.Context(), strings.Fields(line.command)[2:]...)) // without `gremesh agent`
		}
	}
	whole(t, l)
	// The README's addresses are examples: those of a container are put in place
	// of the one that its command printed there.
	var example, actual string
	for _, line := range page.console {
		h := l.Host(int(line.hosts[0][1] - '0'))
		command := line.command
		if example != "" {
			command = strings.ReplaceAll(command, example, actual)
		}
		out := run(t, h, "sh", "-c", command)
		if first, _, _ := strings.Cut(line.output, "\n"); isAddr(first) {
			if example, actual = first, out; !isAddr(actual) {
				t.Errorf("%s prints %q, want an address like %s", command, out, example)
			}
		}
		for _, want := range []string{"directed tunnels up", "clean:", "0% packet loss"} {
			if strings.Contains(line.output, want) && !strings.Contains(out, want) {
				t.Errorf("%s prints no %q:\n%s", command, want, out)
			}
		}
	}
	for _, command := range page.toSee {
		// Docker makes this chain with iptables only.
		if nftablesBackend() && strings.Contains(command, "DOCKER-USER") {
			continue
		}
		run(t, l.Host(1), "sh", "-c", command)
	}
	for _, command := range []string{"gremesh plan", "gremesh history", "gremesh audit --mesh", "gremesh leases"} {
		if !strings.Contains(page.text, "`"+command+"`") {
			t.Errorf("the README does not name %s", command)
		}
		run(t, l.Host(2), "sh", "-c", command)
	}
	run(t, l.Host(3), "gremesh", "leave")
}

// nftablesBackend reports whether the labs' dockerds have their nftables backend.
func nftablesBackend() bool {
	return slices.Contains(strings.Fields(os.Getenv(testenv.FlagsVariable)), "--firewall-backend=nftables")
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(strings.TrimSpace(s))
	return err == nil
}

// typed is a command that the README shows.
type typed struct {
	hosts   []string // where: h1, …
	command string
	output  string
}

// readmePage is what the README has to type.
type readmePage struct {
	text    string
	agents  []typed  // `gremesh agent …  # on h2 and h3`
	console []typed  // blocks of `h1# command` and its output
	toSee   []string // the column "to see it"
}

func readme(t *testing.T) readmePage {
	t.Helper()
	// A guest runs the tests in the module's root.
	dir, err := filepath.Abs(".")
	must(t, err)
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == "/" {
			break
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "README.md"))
	must(t, err)
	page := parseREADME(string(text))
	if len(page.agents) < 2 || len(page.console) < 5 || len(page.toSee) < 10 {
		t.Fatalf("the README was not understood: %d agents, %d commands, %d commands to see things",
			len(page.agents), len(page.console), len(page.toSee))
	}
	return page
}

var (
	prompt = regexp.MustCompile(`^(h[1-9])# (.+)$`)
	on     = regexp.MustCompile(`^(gremesh agent .*?)\s*# on (h[1-9])(?: and (h[1-9]))?$`)
	code   = regexp.MustCompile("`([^`]+)`")
)

func parseREADME(text string) readmePage {
	page := readmePage{text: text}
	block, column := "", 0
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if fence, ok := strings.CutPrefix(line, "```"); ok {
			block = fence
			continue
		}
		cells := strings.Split(line, "|")
		switch m := prompt.FindStringSubmatch(line); {
		case block == "console" && m != nil:
			page.console = append(page.console, typed{hosts: m[1:2], command: m[2]})
		case block == "console" && len(page.console) > 0:
			page.console[len(page.console)-1].output += line + "\n"
		case block == "sh":
			if m := on.FindStringSubmatch(line); m != nil {
				page.agents = append(page.agents, typed{hosts: slices.DeleteFunc(m[2:], func(h string) bool { return h == "" }), command: m[1]})
			}
		case len(cells) < 3: // not a row
			column = 0
		case column == 0: // the header
			column = slices.Index(cells, " to see it ") // -1: another table
		case column > 0 && column < len(cells):
			for _, m := range code.FindAllStringSubmatch(cells[column], -1) {
				page.toSee = append(page.toSee, m[1])
			}
		}
	}
	return page
}

func TestREADMEIsParsed(t *testing.T) {
	page := parseREADME("# x\n" +
		"```sh\ngremesh agent --bootstrap           # on h1\ngremesh agent --join 10.90.0.1      # on h2 and h3\nmake\n```\n" +
		"```console\nh1# gremesh audit\nclean: all\nh2# docker ps\n```\n" +
		"| where | to see it | by |\n|---|---|---|\n| a | `ls`, `ip route` | – |\n\n" +
		"| other |\n|---|\n| `rm -r /` |\n")
	if len(page.agents) != 2 || page.agents[1].command != "gremesh agent --join 10.90.0.1" || !slices.Equal(page.agents[1].hosts, []string{"h2", "h3"}) {
		t.Errorf("agents %+v", page.agents)
	}
	if len(page.console) != 2 || page.console[0].output != "clean: all\n" || page.console[1].command != "docker ps" || page.console[1].hosts[0] != "h2" {
		t.Errorf("console %+v", page.console)
	}
	if !slices.Equal(page.toSee, []string{"ls", "ip route"}) {
		t.Errorf("to see: %q", page.toSee)
	}
}
