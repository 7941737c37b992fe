package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
)

// dockerFaults returns the faults of dockerd and its configuration.
func dockerFaults() []Fault {
	restart := func(ctx context.Context, s Strike) error { return s.Host.RestartDocker(ctx) }
	return []Fault{
		{
			Name: "daemon.json without our keys", Uses: Docker,
			Break: func(_ context.Context, s Strike) error {
				return s.Host.editDaemonJSON(func(keys map[string]any) {
					delete(keys, "bip")
					delete(keys, "mtu")
				})
			},
		},
		{Name: "dockerd restarted", Uses: Docker, Break: restart},
		{
			Name: "dockerd restarted with another bip", Uses: Docker,
			Break: func(ctx context.Context, s Strike) error {
				err := s.Host.editDaemonJSON(func(keys map[string]any) { keys["bip"] = "172.17.0.1/16" })
				return errors.Join(err, restart(ctx, s))
			},
		},
		{
			Name: "dockerd killed", Uses: Docker,
			Break: func(ctx context.Context, s Strike) error { return s.Host.KillDocker(ctx) },
			End:   func(ctx context.Context, s Strike) error { return s.Host.StartDocker(ctx) },
		},
		{
			Name: "a comment in daemon.json", Uses: Docker,
			Break: func(_ context.Context, s Strike) error {
				return s.Host.rewriteDaemonJSON(func(text string) string { return comment + text })
			},
			End: func(_ context.Context, s Strike) error {
				return s.Host.rewriteDaemonJSON(func(text string) string { return strings.ReplaceAll(text, comment, "") })
			},
		},
		{
			// The containers outlive the restart, and dockerd ignores the other
			// bip.
			Name: "dockerd restarted with another bip and live-restore", Uses: Docker,
			Break: func(ctx context.Context, s Strike) error {
				err := s.Host.editDaemonJSON(func(keys map[string]any) { keys["live-restore"] = true })
				err = errors.Join(err, s.Host.ReloadDocker(ctx))
				err = errors.Join(err, s.Host.editDaemonJSON(func(keys map[string]any) { keys["bip"] = "172.17.0.1/16" }))
				return errors.Join(err, restart(ctx, s))
			},
			End: func(ctx context.Context, s Strike) error {
				err := s.Host.editDaemonJSON(func(keys map[string]any) { delete(keys, "live-restore") })
				return errors.Join(err, s.Host.ReloadDocker(ctx))
			},
		},
	}
}

// comment is a line in daemon.json with which dockerd does not start.
const comment = "// of building 7\n"

// rewriteDaemonJSON is editDaemonJSON for content that is not JSON.
func (h *Host) rewriteDaemonJSON(edit func(string) string) error {
	text, err := os.ReadFile(h.DaemonJSON())
	if err != nil {
		return err
	}
	draft := h.DaemonJSON() + ".new"
	if err := os.WriteFile(draft, []byte(edit(string(text))), 0o644); err != nil {
		return err
	}
	return os.Rename(draft, h.DaemonJSON())
}

// daemonKeys returns the keys of daemon.json.
func (h *Host) daemonKeys() (map[string]any, error) {
	keys := map[string]any{}
	text, err := os.ReadFile(h.DaemonJSON())
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &keys)
	}
	return keys, err
}

// editDaemonJSON writes daemon.json as an editor does: it replaces the old file
// with a new file.
func (h *Host) editDaemonJSON(edit func(map[string]any)) error {
	keys, err := h.daemonKeys()
	if err != nil {
		return err
	}
	edit(keys)
	text, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return err
	}
	draft := h.DaemonJSON() + ".new"
	if err := os.WriteFile(draft, text, 0o644); err != nil {
		return err
	}
	return os.Rename(draft, h.DaemonJSON())
}
