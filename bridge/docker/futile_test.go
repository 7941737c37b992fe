package docker

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A new process proves nothing: Docker's own network decides.
func TestARestartedDockerdThatHasNotTakenTheBipIsStale(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	reach(t, d, want)
	startAs(t, d, traits{Ignores: true}, nil)
	have, err := d.Observe(t.Context())
	if err != nil || !have.NeedsRestart || have.Network != netip.MustParsePrefix("172.17.0.1/16") || have.Futile != nil {
		t.Errorf("%+v, %v", have, err)
	}
}

func TestContainersThatOutliveARestartMakeItFutile(t *testing.T) {
	needRoot(t)
	for name, tt := range map[string]struct {
		info   infoAnswer
		futile bool
	}{
		"live-restore and a container": {infoAnswer{LiveRestoreEnabled: true, ContainersRunning: 1}, true},
		"live-restore":                 {infoAnswer{LiveRestoreEnabled: true}, false},
		"a container":                  {infoAnswer{ContainersRunning: 1}, false},
	} {
		d := daemon(t)
		first := startAs(t, d, traits{Info: tt.info}, nil)
		reach(t, d, want)
		have, err := d.Observe(t.Context())
		if err != nil || !have.NeedsRestart || (have.Futile != nil) != tt.futile {
			t.Errorf("%s: %+v, %v", name, have, err)
		}
		if tt.futile && (!strings.Contains(have.Futile.What, "live-restore") || !strings.Contains(have.Futile.Do, "docker stop")) {
			t.Errorf("%s: %+v", name, have.Futile)
		}
		stop(first) // as a crash does: its containers go on
		have, err = d.Observe(t.Context())
		if err != nil || have.Running || (have.Futile != nil) != tt.futile {
			t.Errorf("%s, and dockerd has died: %+v, %v", name, have, err)
		}
		stop(startAs(t, d, traits{}, nil))
	}
}

func TestADockerdThatReadsAnotherFileIsNotWrittenFor(t *testing.T) {
	needRoot(t)
	for name, args := range map[string][]string{
		"another file":     {"--config-file", "/etc/other.json"},
		"with =":           {"--config-file=/etc/other.json"},
		"the default file": nil,
		"a relative path":  {"--config-file", "other.json"},
	} {
		d := daemon(t)
		cmd := startAt(t, d.cfg.Socket, traits{}, nil, args...)
		have, err := d.Observe(t.Context())
		if err != nil || have.Misread == nil || !strings.Contains(have.Misread.Do, "set docker.daemon_json: /") || have.NeedsRestart {
			t.Errorf("%s: %+v, %v", name, have, err)
		}
		if err := d.Apply(t.Context(), Diff(want, State{})); err == nil {
			t.Errorf("%s: the file was written", name)
		}
		if _, err := os.Stat(d.cfg.Path); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
		stop(cmd)
	}
	d := daemon(t)
	put(t, d.cfg.Path, "{}\n")
	link := d.cfg.StateDir + "-link.json"
	if err := os.Symlink(d.cfg.Path, link); err != nil {
		t.Fatal(err)
	}
	startAt(t, d.cfg.Socket, traits{}, nil, "--config-file", link)
	if have, err := d.Observe(t.Context()); err != nil || have.Misread != nil {
		t.Errorf("a link to our file: %+v, %v", have, err)
	}
}

func TestADockerdThatDoesNotAnswerIsStarting(t *testing.T) {
	needRoot(t)
	d := daemon(t)
	reach(t, d, want)
	startAs(t, d, traits{Mute: true}, nil)
	have, err := d.Observe(t.Context())
	if err != nil || !have.Running || !have.Starting || have.NeedsRestart || have.Silent != nil {
		t.Errorf("%+v, %v", have, err)
	}
}

func TestWhatTheNextDockerdRejectsIsNotWritten(t *testing.T) {
	needRoot(t)
	for name, tt := range map[string]struct {
		as   traits
		file string
		says string // empty: it is written
	}{
		"a key of later versions": {traits{Version: versionAnswer{Version: "20.10.24"}}, "{\n  \"min-api-version\": \"1.24\"\n}\n", `line 2, column 3: it does not know the key "min-api-version"`},
		"known keys":              {traits{Version: versionAnswer{Version: "20.10.24"}}, `{"live-restore": true, "log-opts": {}, "runtimes": {}}`, ""},
		"what --validate refuses": {traits{Version: versionAnswer{Version: "28.5.2"}, Rejects: "directives don't match any configuration option: x"}, "{}", "don't match any configuration option: x"},
		"what --validate accepts": {traits{Version: versionAnswer{Version: "28.5.2"}}, `{"min-api-version": "1.24"}`, ""},
	} {
		d := daemon(t)
		cmd := startAs(t, d, tt.as, nil)
		put(t, d.cfg.Path, tt.file)
		err := d.Apply(t.Context(), Diff(want, State{}))
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		if is := content(t, d.cfg.Path); (is == tt.file) != (tt.says != "") {
			t.Errorf("%s: the file is %s", name, is)
		}
		stop(cmd)
	}
}

// The list of keys is held against the dockerd that is installed, if it is one
// of those that the list is for. It is given a key that no dockerd knows, so it
// does not start.
func TestTheListOfKeysIsTheInstalledDockerds(t *testing.T) {
	path, err := exec.LookPath("dockerd")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no dockerd is installed")
		}
		t.Skip("no dockerd is installed")
	}
	is, err := New(Config{}).version(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if is.since(firstToValidate) || !is.since(release{20, 10}) {
		t.Skipf("dockerd is %s, which is asked", is)
	}
	members := []string{`"no-such-key": 1`}
	for _, name := range keysBefore23 {
		members = append(members, `"`+name+`": 1`)
	}
	file := t.TempDir() + "/daemon.json"
	put(t, file, "{"+strings.Join(members, ", ")+"}")
	out, err := exec.CommandContext(t.Context(), path, "--config-file", file).CombinedOutput()
	if err == nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "don't match any configuration option: no-such-key") {
		t.Errorf("%v: %s", err, out)
	}
}
