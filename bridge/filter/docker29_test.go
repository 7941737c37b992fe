package filter

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// docker29 makes the forward chains of Docker 29's nftables backend, with "icc":
// false. MARK is the rule that bridge-accept-fwmark makes.
const docker29 = `nft -f - <<'END'
table ip docker-bridges {
	map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 } }
	map filter-forward-out-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-out__docker0 } }
	chain filter-FORWARD { type filter hook forward priority filter; policy accept;
		oifname vmap @filter-forward-in-jumps
		iifname vmap @filter-forward-out-jumps
	}
	chain filter-forward-in__docker0 {
		ct state vmap { established : accept, related : accept }
		MARK
		iifname "docker0" counter drop comment "ICC"
		counter drop comment "UNPUBLISHED PORT DROP"
	}
	chain filter-forward-out__docker0 {
		ct state established,related counter accept
		counter accept comment "OUTGOING"
	}
}
END`

func TestDockersNftablesBackendIsFollowed(t *testing.T) {
	l := filters(t)
	for name, tt := range map[string]struct {
		mark  string
		found string
	}{
		"without the mark":  {"", "nftables table ip docker-bridges chain filter-forward-in__docker0 drops mesh traffic from docker0 to docker0: iifname \"docker0\" counter"},
		"with another mark": {"meta mark 0x77 counter accept", "nftables table ip docker-bridges chain filter-forward-in__docker0 drops mesh traffic from docker0 to docker0"},
		"with the mark":     {"meta mark & 0x20000000 == 0x20000000 counter accept", ""},
	} {
		t.Run(name, func(t *testing.T) {
			here := &lab{t, l.Host}
			here.clear()
			here.sh(strings.ReplaceAll(docker29, "MARK", tt.mark))
			want := guardedRules()
			want.Forward = []Path{{"docker0", "docker0"}}
			got := here.obstacles(want)
			if !strings.HasPrefix(got, tt.found) || (got == "") != (tt.found == "") {
				t.Errorf("%q, want %q", got, tt.found)
			}
			if got != "" && !strings.Contains(got, "restart Docker") {
				t.Errorf("nothing is to be done: %q", got)
			}
		})
	}
}

// TestAnNftThatDiesIsNamed: nft 1.0.6 does on tables that nft 1.1.7 wrote.
func TestAnNftThatDiesIsNamed(t *testing.T) {
	l := filters(t)
	l.sh("nft 'add table ip docker-bridges; add chain ip docker-bridges f { type filter hook forward priority 0; }'")
	withNft(t, `"-j list table ip docker-bridges"`, "Segmentation fault")
	path := strings.Split(l.sh("command -v nft"), "\n")[0]
	l.sh("sed -i 's/^exit 1;;/kill -SEGV $$;;/' " + path)
	have, err := l.Observe(t.Context())
	if err != nil || len(have.Unread) != 1 || have.Unread[0] != "nftables table ip docker-bridges cannot be read: nft was ended by a signal (segmentation fault)" {
		t.Errorf("%q, %v", have.Unread, err)
	}
	l.reach(meshRules()) // the rest is kept
	withNft(t, "*", "Segmentation fault")
	l.sh("sed -i 's/^exit 1;;/kill -SEGV $$;;/' $(command -v nft)")
	if _, err := New(slog.New(slog.DiscardHandler)).Observe(t.Context()); !errors.Is(err, ErrUnable) || !strings.Contains(err.Error(), "nft was ended by a signal (segmentation fault): upgrade nftables") {
		t.Error(err)
	}
}
