package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// Tunnels counts the lab's tunnel ports, according to ovs-vswitchd: the ports
// that exist, and the ports whose BFD session is up.
type Tunnels struct{ Present, Up int }

// Tunnels asks each host's ovsdb-server once. It is cheap enough for polling in
// a measurement, because a socket in the file system can be reached from every
// network namespace.
func (l *Lab) Tunnels(ctx context.Context) (Tunnels, error) {
	var total Tunnels
	var mu sync.Mutex
	err := l.Each(func(h *Host) error {
		n, err := h.tunnels(ctx)
		mu.Lock()
		defer mu.Unlock()
		total.Present += n.Present
		total.Up += n.Up
		return err
	})
	return total, err
}

// selectInterfaces is a request of RFC 7047, sections 4.1.3 and 5.2.1. It
// selects the name, because ovsdb-server returns rows that are equal in all
// selected columns only once.
const selectInterfaces = `{"id": 0, "method": "transact", "params": ["Open_vSwitch",
	{"op": "select", "table": "Interface", "where": [["options", "!=", ["map", []]]],
	 "columns": ["name", "ofport", "bfd_status"]}]}`

func (h *Host) tunnels(ctx context.Context) (Tunnels, error) {
	var reply struct {
		Result []struct {
			Rows []struct {
				Ofport any       `json:"ofport"` // a number, or an empty set
				BFD    stringMap `json:"bfd_status"`
			} `json:"rows"`
		} `json:"result"`
	}
	if err := h.askOVSDB(ctx, selectInterfaces, &reply); err != nil {
		return Tunnels{}, err
	}
	var n Tunnels
	for _, result := range reply.Result {
		for _, row := range result.Rows {
			if ofport, ok := row.Ofport.(float64); ok && ofport > 0 {
				n.Present++
			}
			if row.BFD["state"] == "up" {
				n.Up++
			}
		}
	}
	return n, nil
}

// askOVSDB sends one request and reads the answer.
func (h *Host) askOVSDB(ctx context.Context, request string, answer any) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", h.path("ovs", "db.sock"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(request)); err != nil {
		return fmt.Errorf("%s: ask ovsdb-server: %w", h.Name, err)
	}
	if err := json.NewDecoder(conn).Decode(answer); err != nil {
		return fmt.Errorf("%s: read ovsdb-server's answer: %w", h.Name, err)
	}
	return nil
}

// stringMap is a map of OVSDB: ["map", [[key, value], …]].
type stringMap map[string]string

// UnmarshalJSON reads the notation of OVSDB.
func (s *stringMap) UnmarshalJSON(text []byte) error {
	var pairs [][2]string
	if err := json.Unmarshal(text, &[]any{new(string), &pairs}); err != nil {
		return err
	}
	*s = stringMap{}
	for _, p := range pairs {
		(*s)[p[0]] = p[1]
	}
	return nil
}
