package procs

import (
	"os"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, name string) {
	t.Helper()
	run(t, program(t, name), nil)
}

func TestAProcessIsFoundByItsNameAndItsAgeIsThatOfTheYoungest(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	const name = "gm-test-proc"
	began := time.Now()
	start(t, name)
	for elder := time.Duration(0); elder < 50*time.Millisecond; { // it grows
		ages, err := Ages(name, "gm-no-such")
		if err != nil {
			t.Fatal(err)
		}
		age, found := ages[name]
		if !found || age > time.Since(began)+2*tick || len(ages) != 1 {
			t.Fatalf("ages %v, %s after its start", ages, time.Since(began))
		}
		elder = age
	}
	second := time.Now()
	start(t, name)
	found, err := Find(name)
	if err != nil || len(found[name]) != 2 || found[name][0].Boot == "" {
		t.Fatalf("%+v, %v", found, err)
	}
	ages, err := Ages(name)
	if since := time.Since(second); err != nil || ages[name] > since+2*tick {
		t.Errorf("age %s, and the younger was started %s ago; %v", ages[name], since, err)
	}
}

func TestParseStat(t *testing.T) {
	const tail = " 1 2 2 0 -1 4194560 9 0 0 0 0 0 0 0 20 0 1 0 12345 999 1 18446744073709551615 0"
	for line, want := range map[string]string{
		"7 (dockerd) S" + tail:           "dockerd",
		"7 (dockerd) Z" + tail:           "",
		"7 (dockerd-proxy) S" + tail:     "dockerd-proxy",
		"7 (x) (dockerd) S" + tail:       "x) (dockerd",
		"7 (dockerd) S 1 2":              "",
		"":                               "",
		"seven (dockerd) S" + tail:       "",
		"7 (containerd) S) (x) S" + tail: "containerd) S) (x",
	} {
		name, p, ok := parseStat(line)
		if name != want || ok != (want != "") || ok && (p.PID != 7 || p.Start != 12345) {
			t.Errorf("%q: %q, %v, %v", line, name, p, ok)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for b.Loop() {
		if _, err := Find("ovs-vswitchd", "ovsdb-server", "dockerd"); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzStat: a line of /proc/PID/stat has a name that anybody chooses.
func FuzzStat(f *testing.F) {
	f.Add("7", "dockerd", "S 1 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 9 0 4711 1 1")
	f.Add("7", "a) S 1 (b", "S 1 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 9 0 4711 1 1")
	f.Add("x", "", "Z 1")
	f.Fuzz(func(t *testing.T, pid, name, rest string) {
		got, p, ok := parseStat(pid + " (" + name + ") " + rest)
		if !ok {
			return
		}
		if strings.Contains(rest, ") ") || strings.Contains(pid, " (") {
			return // the kernel writes no such numbers
		}
		if got != name || p.PID < 0 && !strings.HasPrefix(pid, "-") {
			t.Errorf("%q is taken for process %d, %q", name, p.PID, got)
		}
	})
}
