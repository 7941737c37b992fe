package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what the figures were measured on.
type Machine struct {
	CPU        string     `json:"cpu"`
	Processors int        `json:"processors"`
	Memory     string     `json:"memory"`
	Load       string     `json:"load"` // of the last 1, 5 and 15 minutes when it began
	Versions   []Software `json:"versions"`
}

// Software is a part of what was measured, or of what measured.
type Software struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// thisMachine asks all programs that the measurements need for their versions,
// and those that a table does without if there are none.
func thisMachine(ctx context.Context, cfg Config) (Machine, error) {
	m := Machine{
		CPU:        field("/proc/cpuinfo", "model name"),
		Processors: runtime.NumCPU(),
		Memory:     gigabytes(field("/proc/meminfo", "MemTotal")),
		Load:       strings.Join(strings.Fields(firstLine("/proc/loadavg"))[:3], " "),
		Versions:   []Software{{"Linux", firstLine("/proc/sys/kernel/osrelease")}},
	}
	commands := [][]string{
		{"Open vSwitch", "ovs-vswitchd", "--version"},
		{"dockerd", "dockerd", "--version"},
		{"iperf3", "iperf3", "--version"},
		{"gremesh", cfg.Binary, "version"}, // it names its Go
	}
	if overlayMissing(cfg) == nil {
		commands = append(commands, []string{"flannel", cfg.Flannel, "--version"}, []string{"etcd", "etcd", "--version"})
	}
	for _, command := range commands {
		out, err := exec.CommandContext(ctx, command[1], command[2:]...).CombinedOutput()
		if err != nil {
			return m, fmt.Errorf("ask %s for its version: %w", command[1], err)
		}
		line, _, _ := strings.Cut(string(out), "\n")
		m.Versions = append(m.Versions, Software{command[0], version(line)})
	}
	return m, nil
}

// version is the word that begins with a digit, as in "ovs-vswitchd (Open
// vSwitch) 3.1.0", or else the line without its first word, if it has another.
func version(line string) string {
	words := strings.Fields(line)
	for _, w := range words {
		if w[0] >= '0' && w[0] <= '9' {
			return strings.TrimSuffix(w, ",")
		}
	}
	if len(words) < 2 {
		return line
	}
	return strings.Join(words[1:], " ")
}

// gigabytes is "24684084 kB" as people say it; that kB has 1,024 bytes.
func gigabytes(text string) string {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	if err != nil {
		return text
	}
	return strconv.FormatFloat(kilobytes*1024/1e9, 'f', 0, 64) + " GB"
}

// field is the first "name: value" of a file of proc(5).
func field(file, name string) string {
	text, _ := os.ReadFile(file) // a report can do without
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func firstLine(file string) string {
	text, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
