package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"os"
)

// dockerFaults are of dockerd and its configuration.
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
	}
}

// daemonKeys are what daemon.json says.
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

// editDaemonJSON writes daemon.json as an editor does: a new file in the place
// of the old one.
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
