package docker

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	other    = Settings{Bip: netip.MustParsePrefix("172.17.43.1/24"), MTU: 1462}
	asBefore = Settings{Former: true}
	interim  = Settings{Former: true, TransitionalBip: netip.MustParsePrefix("172.17.0.1/16")}
)

func TestDaemonJSONIsPutBackToTheByte(t *testing.T) {
	for i, before := range []string{
		"", "{}", "{}\n", "{ }", "{\n}\n", `{"mtu": 9000}`, `{"bip": "10.99.0.1/24"}`, "{\"a\":1}", "{\r\n\t\"a\": 1\r\n}\r\n",
		"{\n  \"zeta\": [1,   2],\n    \"bip\" :\"10.99.0.1/24\",\n\"n\": 9007199254740993 }\n\n",
		"{\n  \"a\": 1  \n}\n",
	} {
		d := daemon(t)
		put(t, d.cfg.Path, before)
		reach(t, d, want)
		if i%2 == 0 { // each write is synced
			reach(t, d, other)
		} else {
			reach(t, d, interim)
		}
		reach(t, d, asBefore)
		if is := content(t, d.cfg.Path); is != before {
			t.Errorf("%q has become %q", before, is)
		}
	}
}

func TestAFileThatWasNotThereGoes(t *testing.T) {
	d := daemon(t)
	reach(t, d, want)
	reach(t, d, interim)
	if is, should := content(t, d.cfg.Path), "{\n  \"bip\": \"172.17.0.1/16\"\n}\n"; is != should {
		t.Errorf("for dockerd's next start it is %q, want %q", is, should)
	}
	reach(t, d, asBefore)
	if _, err := os.Stat(filepath.Dir(d.cfg.Path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is there still: %v", err)
	}
	if left := plan(t, d, asBefore); len(left) > 0 {
		t.Errorf("still to do: %v", left)
	}
}

func TestWhatOthersHaveChangedSinceStays(t *testing.T) {
	for _, tt := range []struct {
		name, before, theirs, after string
		stays                       []string
	}{
		{
			"another key", "{\"a\": 1}\n", "{\"debug\": true, \"bip\": \"172.17.42.1/24\", \"mtu\": 1462}\n", "{\"debug\": true}\n", nil,
		},
		{
			"another bip", "{}", `{"bip": "10.1.0.1/16", "mtu": 1462}`, `{"bip": "10.1.0.1/16"}`,
			[]string{"daemon.json bip stays 10.1.0.1/16: another program, or a person, has changed it since"},
		},
		{
			"no bip", `{"bip": "10.2.0.1/16"}`, `{"mtu": 1400}`, `{"mtu": 1400}`,
			[]string{
				"daemon.json bip stays not set: another program, or a person, has changed it since",
				"daemon.json mtu stays 1400: another program, or a person, has changed it since",
			},
		},
		{"their former bip", `{"bip": "10.2.0.1/16"}`, `{"bip": "10.2.0.1/16"}`, `{"bip": "10.2.0.1/16"}`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := daemon(t)
			put(t, d.cfg.Path, tt.before)
			reach(t, d, want)
			put(t, d.cfg.Path, tt.theirs)
			have, err := d.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.stays, Stays(have)); diff != "" {
				t.Error(diff)
			}
			reach(t, d, asBefore)
			if is := content(t, d.cfg.Path); is != tt.after {
				t.Errorf("%q has become %q, want %q", tt.theirs, is, tt.after)
			}
		})
	}
}

func TestWithoutARecordNothingIsPutBack(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, written)
	if changes := plan(t, d, asBefore); len(changes) > 0 {
		t.Errorf("%v", changes)
	}
}

// A dockerd that has started with the interim bip is not to be restarted again
// when that goes out of the file.
func TestDockerIsRestartedOnceOnTheWayBack(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	reach(t, d, want)
	first := start(t, d)
	reach(t, d, interim)
	if stale, _ := observe(t, d); !stale {
		t.Error("a dockerd that started with our bip is not stale")
	}
	stop(first)
	start(t, d)
	for range 2 {
		if stale, _ := observe(t, d); stale {
			t.Error("a dockerd that started with the former address is stale")
		}
		reach(t, d, asBefore)
		d = New(d.cfg)
	}
}

func TestARefusedWriteOnTheWayBackIsTriedAgain(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, "{\"a\": 1}")
	reach(t, d, want)
	put(t, d.cfg.Path, "{")
	if _, err := d.Observe(t.Context()); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
	put(t, d.cfg.Path, `{"a": 1, "bip": "172.17.42.1/24", "mtu": 1462}`)
	reach(t, d, asBefore)
	if is := content(t, d.cfg.Path); is != `{"a": 1}` {
		t.Error(is)
	}
}
