package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync/atomic"
)

// TunnelsUp counts the lab's tunnel ports whose BFD session is up, asking each
// host's ovsdb-server once. It is cheap enough to be polled in a measurement: a
// socket in the file system is reached from every network namespace.
func (l *Lab) TunnelsUp(ctx context.Context) (int, error) {
	var total atomic.Int64
	err := l.Each(func(h *Host) error {
		n, err := h.tunnelsUp(ctx)
		total.Add(int64(n))
		return err
	})
	return int(total.Load()), err
}

// tunnelsUp selects by the OVSDB protocol, RFC 7047 sections 4.1.3 and 5.2.2.
func (h *Host) tunnelsUp(ctx context.Context) (int, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", h.path("ovs", "db.sock"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	const request = `{"id": 0, "method": "transact", "params": ["Open_vSwitch",
		{"op": "select", "table": "Interface", "where": [], "columns": ["bfd_status"]}]}`
	if _, err := conn.Write([]byte(request)); err != nil {
		return 0, fmt.Errorf("%s: ask ovsdb-server: %w", h.Name, err)
	}
	var reply struct {
		Result []struct {
			Rows []struct {
				BFD bfdStatus `json:"bfd_status"`
			} `json:"rows"`
		} `json:"result"`
	}
	if err := json.NewDecoder(conn).Decode(&reply); err != nil {
		return 0, fmt.Errorf("%s: read ovsdb-server's answer: %w", h.Name, err)
	}
	up := 0
	for _, result := range reply.Result {
		for _, row := range result.Rows {
			if row.BFD["state"] == "up" {
				up++
			}
		}
	}
	return up, nil
}

// bfdStatus is a map of OVSDB: ["map", [[key, value], …]].
type bfdStatus map[string]string

// UnmarshalJSON reads OVSDB's notation.
func (s *bfdStatus) UnmarshalJSON(text []byte) error {
	var pairs [][2]string
	if err := json.Unmarshal(text, &[]any{new(string), &pairs}); err != nil {
		return err
	}
	*s = bfdStatus{}
	for _, p := range pairs {
		(*s)[p[0]] = p[1]
	}
	return nil
}
