package filter

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

var backends = []string{"iptables-nft", "iptables-legacy"}

func TestApplyReachesTheRulesAndIsThenSilent(t *testing.T) {
	for _, ipt := range backends {
		for name, script := range map[string]string{
			"nothing":                "true",
			"Docker's rules":         "ipt=" + ipt + dockersRules,
			"an empty table of ours": "nft add table ip gremesh",
			"a table of ours that somebody changed": `nft 'add table ip gremesh; add chain ip gremesh postrouting { type nat hook postrouting priority 50; };
				add chain ip gremesh other; add rule ip gremesh other counter drop'`,
			"the operator's rules": "ipt=" + ipt + dockersRules + "\n$ipt -w -I DOCKER-USER -s 10.0.0.0/8 -j DROP",
			"rules of ours at the wrong place": "ipt=" + ipt + dockersRules + `
				$ipt -w -A DOCKER-USER -m comment --comment gremesh -j DROP`,
		} {
			t.Run(ipt+" "+name, func(t *testing.T) {
				l := filters(t)
				l.sh(script)
				want := wanted()
				l.reach(want)
				want.NonMasquerade = prefixes("0.0.0.0/0")
				l.reach(want)
				want.NonMasquerade = prefixes("10.0.0.0/9", "10.128.0.0/9", "172.17.0.0/16", "192.168.248.139/32", "192.168.248.140/32")
				want.Forward = append(want.Forward, Path{"eth0", "docker0"}, Path{"docker0", "eth0"})
				l.reach(want)
				l.reach(Rules{})
				if left := l.sh("nft list ruleset; for t in iptables-nft iptables-legacy; do $t-save; done 2>&1"); strings.Contains(left, "gremesh") {
					t.Errorf("left behind:\n%s", left)
				}
			})
		}
	}
}

func TestPrintedCommandsDoTheSame(t *testing.T) {
	for _, ipt := range backends {
		t.Run(ipt, func(t *testing.T) {
			l := filters(t)
			l.sh("ipt=" + ipt + dockersRules)
			for _, want := range []Rules{wanted(), {}} {
				for _, c := range l.diff(want) {
					l.sh(strings.Join(c.Commands, "\n"))
				}
				if left := render(l.diff(want)); left != "" {
					t.Errorf("left to do:\n%s", left)
				}
			}
		})
	}
}

func TestObserveMakesNoTables(t *testing.T) {
	l := filters(t)
	l.diff(wanted())
	if made := l.sh("nft list tables"); made != "" {
		t.Errorf("made:\n%s", made)
	}
}

func TestWhatIsBrokenByHandIsSeenAndMended(t *testing.T) {
	for _, ipt := range backends {
		for name, script := range map[string]string{
			"our table is deleted":           "nft delete table ip gremesh",
			"the ruleset is flushed":         "nft flush ruleset",
			"our chain is flushed":           "nft flush chain ip gremesh postrouting",
			"a rule is added":                "nft insert rule ip gremesh postrouting counter accept",
			"a rule is deleted":              "nft delete rule ip gremesh postrouting handle $(nft -a list table ip gremesh | sed -n 's/.*daddr 172.17.0.0.16 snat.*handle //p')",
			"a rule is changed":              "nft replace rule ip gremesh postrouting handle $(nft -a list table ip gremesh | sed -n 's/.*daddr 172.17.0.0.16 snat.*handle //p') ip saddr 172.17.0.0/16 accept",
			"an element is added":            "nft add element ip gremesh hosts { 10.0.0.1 }",
			"an element is deleted":          "nft delete element ip gremesh hosts { 192.168.248.139 }",
			"the set is flushed":             "nft flush set ip gremesh hosts",
			"the set is made anew":           "nft 'flush chain ip gremesh postrouting; delete set ip gremesh hosts; add set ip gremesh hosts { type ipv4_addr; flags interval; }'",
			"an element will time out":       "nft 'flush chain ip gremesh postrouting; delete set ip gremesh hosts; add set ip gremesh hosts { type ipv4_addr; flags timeout; }; add element ip gremesh hosts { 10.0.0.1 timeout 1h }'",
			"a set is added":                 "nft add set ip gremesh s '{ type ipv4_addr; }'",
			"the table sleeps":               "nft add table ip gremesh '{ flags dormant; }'",
			"iptables -F":                    "$ipt -w -F",
			"a rule of ours in DOCKER-USER":  "$ipt -w -D DOCKER-USER 1",
			"a rule of others behind ours":   "$ipt -w -I DOCKER-USER 3 -s 10.0.0.0/8 -j DROP",
			"iptables -F -t nat, by mistake": "$ipt -w -t nat -F; $ipt -w -D DOCKER-USER 1",
		} {
			t.Run(ipt+" "+name, func(t *testing.T) {
				l := filters(t)
				l.sh("ipt=" + ipt + dockersRules)
				l.reach(wanted())

				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- l.Host.Run(ctx) }()
				await(t, l.Changed(), "it listens")
				l.sh("ipt=" + ipt + "\n" + script)
				if ipt == "iptables-nft" || strings.Contains(script, "nft ") {
					await(t, l.Changed(), "the change is noticed")
				}
				if strings.Contains(script, "flush ruleset") && ipt == "iptables-nft" {
					l.sh("ipt=" + ipt + dockersRules) // as a restart of dockerd does
				}
				if len(l.diff(wanted())) == 0 {
					t.Error("no difference")
				}
				l.reach(wanted())
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestOtherTablesDoNotWake(t *testing.T) {
	l := filters(t)
	l.sh("nft 'add table ip other; add chain ip other nat; add set ip other s { type ipv4_addr; }'")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.Host.Run(ctx) }()
	await(t, l.Changed(), "it listens")
	l.sh("nft 'add rule ip other nat counter accept; add element ip other s { 10.0.0.1 }; delete element ip other s { 10.0.0.1 }; flush chain ip other nat'")
	l.sh("nft add table ip gremesh")
	await(t, l.Changed(), "our table is noticed")
	select {
	case <-l.Changed():
		t.Error("woken twice")
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(5 * time.Second):
		t.Fatalf("not within 5 s: %s", what)
	}
}

func BenchmarkObserve(b *testing.B) {
	if os.Getenv(role) == "" {
		b.Skip("needs root")
	}
	h := New(slog.New(slog.DiscardHandler))
	out, err := exec.CommandContext(b.Context(), "sh", "-ec", "nft flush ruleset; ipt=iptables-nft"+dockersRules).CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	if err := h.Apply(b.Context(), Diff(meshRules(), State{})); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Observe(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
