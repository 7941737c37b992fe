package docker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lose removes files of the state directory.
func lose(t *testing.T, d *Daemon, names ...string) *Daemon {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(d.cfg.StateDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return New(d.cfg)
}

// historyOf has the changes of the operator's file to the written one.
func historyOf(want Settings) func(object, value string) bool {
	return func(object, value string) bool {
		return object == "daemon.json bip" && value == want.Bip.String() || object == "daemon.json mtu" && value == number(want.MTU)
	}
}

const operators = "{\n  \"bip\": \"10.99.0.1/24\",\n  \"debug\": true\n}\n"

func TestGremeshsValuesAreNeverTakenForTheOperators(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  string // daemon.json; empty: there is none
		lost    []string
		history bool
		after   string // of putting back all
		says    string // words of the trouble; empty: there is none
	}{
		{"docker.json", operators, []string{stateFile}, false, operators, ""},
		{"its copy, too", operators, []string{stateFile, copyFile}, false, operators, ""},
		{"its copy, too, and there was no file", "", []string{stateFile, copyFile}, true, "{}", `"bip" and "mtu"`},
		{"all three", operators, []string{stateFile, copyFile, backupFile}, true, "{\n  \"debug\": true\n}\n", `"bip" and "mtu"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := daemon(t)
			if tt.before != "" {
				put(t, d.cfg.Path, tt.before)
			}
			reach(t, d, want)
			if tt.history {
				d.cfg.Wrote = historyOf(want)
			}
			d = lose(t, d, tt.lost...)
			have, err := d.Observe(t.Context())
			if err != nil || have.Former == nil || have.Former.Bip == want.Bip.String() || have.Former.MTU == want.MTU {
				t.Fatalf("the former values are %+v, %v", have.Former, err)
			}
			if (have.Lost == nil) != (tt.says == "") || have.Lost != nil && !strings.Contains(have.Lost.What, tt.says) {
				t.Errorf("it says %+v", have.Lost)
			}
			reach(t, d, other) // the next write
			if s, err := d.load(); err != nil || s.Former.Bip == want.Bip.String() || s.Former.MTU == want.MTU {
				t.Errorf("the former values are %+v, %v", s.Former, err)
			}
			if b, err := os.ReadFile(filepath.Join(d.cfg.StateDir, backupFile)); err == nil && string(b) != tt.before {
				t.Errorf("the file of before is %q", b)
			}
			reach(t, d, asBefore)
			if is := strings.TrimSpace(content(t, d.cfg.Path)); is != strings.TrimSpace(tt.after) {
				t.Errorf("put back is\n%s\nwant\n%s", is, tt.after)
			}
		})
	}
}

// TestTheOperatorsBipIsNoLoss is about a host that was set up by hand: gremesh
// leases what the file has, and has not written it.
func TestTheOperatorsBipIsNoLoss(t *testing.T) {
	d := daemon(t)
	byHand := strings.Replace(operators, "10.99.0.1/24", want.Bip.String(), 1)
	put(t, d.cfg.Path, byHand)
	d.cfg.Wrote = func(object, _ string) bool { return object == "daemon.json mtu" }
	if have, err := d.Observe(t.Context()); err != nil || have.Former != nil || have.Lost != nil || have.Unrecorded {
		t.Errorf("before the first write: %+v, %v", have, err)
	}
	reach(t, d, want)
	d = lose(t, d, stateFile, copyFile)
	have, err := d.Observe(t.Context())
	if err != nil || have.Former == nil || have.Former.Bip != want.Bip.String() || have.Former.MTU != 0 || have.Lost != nil {
		t.Errorf("%+v, %v", have, err)
	}
	reach(t, d, asBefore)
	if is := content(t, d.cfg.Path); is != byHand {
		t.Errorf("put back is\n%s", is)
	}
}

func TestALostRecordIsWrittenAgain(t *testing.T) {
	d := daemon(t)
	reach(t, d, want)
	d.cfg.Wrote = historyOf(want)
	d = lose(t, d, stateFile, copyFile)
	if have, err := d.Observe(t.Context()); err != nil || !have.Unrecorded {
		t.Fatalf("%+v, %v", have, err)
	}
	if err := d.Apply(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	d.cfg.Wrote = nil
	have, err := New(d.cfg).Observe(t.Context())
	if err != nil || have.Unrecorded || have.Lost == nil {
		t.Errorf("%+v, %v", have, err)
	}
	s, err := d.load()
	if err != nil || !slices.Equal(s.Lost, []string{"bip", "mtu"}) || s.Written.Bip != want.Bip.String() {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestADamagedRecordHasACopy(t *testing.T) {
	d := daemon(t)
	put(t, d.cfg.Path, operators)
	reach(t, d, want)
	put(t, filepath.Join(d.cfg.StateDir, stateFile), "{")
	if s, err := New(d.cfg).load(); err != nil || s.Former == nil || s.Former.Bip != "10.99.0.1/24" {
		t.Errorf("%+v, %v", s, err)
	}
	put(t, filepath.Join(d.cfg.StateDir, copyFile), "{")
	if _, err := New(d.cfg).load(); err == nil || !strings.Contains(err.Error(), stateFile) {
		t.Errorf("both are damaged: %v", err)
	}
}
