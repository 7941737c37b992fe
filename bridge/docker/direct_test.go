package docker

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersionsAreRead(t *testing.T) {
	for line, want := range map[string]string{
		"Docker version 20.10.24+dfsg1, build 5d6db84\n": "20.10",
		"Docker version 28.2.0, build 879ac3f\n":         "28.2",
		"Docker version v29.0.0-rc.1, build library\n":   "29.0",
	} {
		if is, err := parseVersion(line); err != nil || is.String() != want {
			t.Errorf("%q is %s, %v", line, is, err)
		}
	}
	for _, line := range []string{"", "podman version 4.3.1\n", "Docker version library-import, build library-import\n"} {
		if is, err := parseVersion(line); err == nil {
			t.Errorf("%q is %s", line, is)
		}
	}
}

func TestWhatDockerDoesWithDirectPackets(t *testing.T) {
	old, first, second, latest := release{20, 10}, release{28, 0}, release{28, 1}, release{29, 4}
	for _, tt := range []struct {
		name     string
		j        directRouting
		obstacle string // words of it; empty: there is none
		takes    bool
	}{
		{"an old one has no rules against them", directRouting{next: old, running: old}, "", false},
		{"the first that has", directRouting{next: first, running: first}, "Docker 28.0 drops them: use 28.2", false},
		{"without a key to turn them off", directRouting{next: second, running: second}, "Docker 28.1 drops them: use 28.2", false},
		{"the key is to be written", directRouting{next: firstToObey, running: firstToObey}, "daemon.json has no allow-direct-routing", true},
		{"it is written", directRouting{next: latest, running: latest, key: true}, "", true},
		{"and not read", directRouting{next: latest, running: latest, key: true, unread: true}, "restart Docker", true},
		{"a flag does the same, and excludes the key", directRouting{next: latest, running: latest, option: true}, "", false},
		{"upgraded and not restarted", directRouting{next: latest, running: old}, "", true},
		{"downgraded and not restarted", directRouting{next: old, running: latest, key: true}, "", false},
		{"nftables had no such way before 29", directRouting{next: release{28, 5}, running: release{28, 5}, key: true, nftables: true}, "firewall-backend", true},
		{"nftables without the mark", directRouting{next: release{29, 0}, running: release{29, 0}, key: true, nftables: true}, "bridge-accept-fwmark", true},
		{"nftables, started without the mark", directRouting{next: release{29, 0}, running: release{29, 0}, key: true, nftables: true, mark: true, unmarked: true}, "restart Docker", true},
		{"nftables with the mark", directRouting{next: release{29, 0}, running: release{29, 0}, key: true, nftables: true, mark: true}, "", true},
		{"nftables with the mark alone", directRouting{next: release{29, 0}, running: release{29, 0}, nftables: true, mark: true}, "allow-direct-routing", true},
		{"the next is not known", directRouting{running: latest, key: true}, "", false},
	} {
		if is := tt.j.obstacle(); (is == "") != (tt.obstacle == "") || !strings.Contains(is, tt.obstacle) {
			t.Errorf("%s: %q, want %q", tt.name, is, tt.obstacle)
		}
		if is := tt.j.takes(); is != tt.takes {
			t.Errorf("%s: takes %v", tt.name, is)
		}
		if known := tt.j.next != (release{}); tt.j.refuses() != (known && !tt.takes) {
			t.Errorf("%s: refuses %v", tt.name, tt.j.refuses())
		}
	}
}

// version puts a dockerd of that version into the path, and first in it.
func version(t *testing.T, is string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\necho 'Docker version " + is + ", build 0000000'\n"
	if err := os.WriteFile(filepath.Join(dir, "dockerd"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

var direct = Settings{Bip: netip.MustParsePrefix("172.17.42.1/24"), MTU: 1462, Direct: true}

func TestTheKeyIsWrittenWhereDockerdKnowsIt(t *testing.T) {
	const with = "{\n  \"bip\": \"172.17.42.1/24\",\n  \"mtu\": 1462,\n  \"allow-direct-routing\": true\n}\n"
	d := daemon(t)
	d.cfg.Direct = true
	expect := func(when, file string) {
		t.Helper()
		if is := content(t, d.cfg.Path); is != file {
			t.Errorf("%s: the file is\n%s", when, is)
		}
	}
	version(t, "28.1.1")
	reach(t, d, direct)
	expect("too old", written)

	version(t, "28.2.0")
	reach(t, d, direct)
	expect("upgraded", with)
	if have, err := d.Observe(t.Context()); err != nil || have.Obstacle != "" {
		t.Errorf("with the key there is an obstacle: %q, %v", have.Obstacle, err)
	}

	version(t, "library-import")
	reach(t, d, direct)
	expect("not known", with)

	version(t, "27.5.1")
	reach(t, d, direct)
	expect("downgraded", written)

	version(t, "29.4.0")
	reach(t, d, direct)
	reach(t, d, want)
	expect("not wanted any more", written)

	reach(t, d, direct)
	reach(t, d, Settings{Former: true})
	if _, err := os.Stat(d.cfg.Path); !os.IsNotExist(err) {
		t.Errorf("after all is put back the file is there: %v", err)
	}
}

func TestAKeyOfTheOperatorsIsPutBack(t *testing.T) {
	for _, before := range []string{"{\n  \"allow-direct-routing\": false\n}\n", "{\"allow-direct-routing\": true}"} {
		d := daemon(t)
		version(t, "29.4.0")
		d.cfg.Direct = true
		put(t, d.cfg.Path, before)
		reach(t, d, direct)
		if is := content(t, d.cfg.Path); !strings.Contains(is, "\"allow-direct-routing\": true") {
			t.Errorf("%s became %s", before, is)
		}
		reach(t, d, Settings{Former: true})
		if is := content(t, d.cfg.Path); is != before {
			t.Errorf("%s came back as %s", before, is)
		}
	}
}

func TestADockerdThatHasNotReadTheKeyIsKnown(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	d.cfg.Direct = true
	reach(t, d, want)
	is29 := traits{Version: versionAnswer{Version: "29.4.0"}}
	expect := func(when, obstacle string) {
		t.Helper()
		have, err := d.Observe(t.Context())
		if err != nil || have.NeedsRestart || (have.Obstacle == "") != (obstacle == "") || !strings.Contains(have.Obstacle, obstacle) {
			t.Errorf("%s: %+v, %v", when, have, err)
		}
	}
	first := startAs(t, d, is29, nil)
	expect("not written", "daemon.json has no")
	reach(t, d, direct)
	expect("written while it ran", "restart Docker")
	d = New(d.cfg)
	expect("seen by a new agent", "restart Docker")
	put(t, d.cfg.Path, written)
	reach(t, d, direct)
	expect("taken out and put back", "restart Docker")
	stop(first)
	startAs(t, d, is29, nil)
	expect("restarted", "")
	reach(t, d, want)
	d = New(d.cfg)
	expect("not wanted any more", "daemon.json has no")
	reach(t, d, direct)
	expect("wanted again", "")
	put(t, d.cfg.Path, written)
	reach(t, d, direct)
	expect("taken out and put back", "")
}
