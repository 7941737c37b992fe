package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// NoDatapathError reports that ovs-vswitchd runs without a datapath that a
// bridge needs. Check returns it.
type NoDatapathError struct {
	Type string   // "system" or "netdev"
	Has  []string // the types that ovs-vswitchd has
}

// Error names the missing datapath and the existing ones.
func (e *NoDatapathError) Error() string {
	return fmt.Sprintf("Open vSwitch has no datapath of type %s (it has %s)", e.Type, strings.Join(e.Has, ", "))
}

// checkTimeout bounds the duration of Check.
const checkTimeout = 2 * time.Second

// Check asks once whether the database and ovs-vswitchd answer, and whether the
// needed datapath exists. That is datapath if it is not empty, else the type of
// the existing bridge, else "system". Check changes nothing. It is no error if
// ovs-vswitchd has not written its datapath types yet (Open_vSwitch,
// datapath_types).
func Check(ctx context.Context, db, bridge, datapath string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	network, address, _ := strings.Cut(db, ":")
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("connect to Open vSwitch's database: %w", err)
	}
	defer conn.Close() //nolint:errcheck // no data is lost
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	// RFC 7047, 4.1.3 and 5.2.2.
	request := map[string]any{"id": 1, "method": "transact", "params": []any{
		"Open_vSwitch",
		map[string]any{"op": "select", "table": "Open_vSwitch", "where": []any{}, "columns": []string{"datapath_types"}},
		map[string]any{"op": "select", "table": "Bridge", "where": []any{[]any{"name", "==", bridge}}, "columns": []string{"datapath_type"}},
	}}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("ask Open vSwitch's database: %w", err)
	}
	var answer struct {
		Error  any
		Result []struct {
			Rows []struct {
				Types json.RawMessage `json:"datapath_types"`
				Type  string          `json:"datapath_type"`
			}
		}
	}
	if err := json.NewDecoder(io.LimitReader(conn, 1<<20)).Decode(&answer); err != nil {
		return fmt.Errorf("ask Open vSwitch's database: %w", err)
	}
	if answer.Error != nil || len(answer.Result) != 2 || len(answer.Result[0].Rows) != 1 {
		return fmt.Errorf("ask Open vSwitch's database: it has no row Open_vSwitch (error %v); restart it: %s", answer.Error, RestartCommand)
	}
	if bridges := answer.Result[1].Rows; datapath == "" && len(bridges) > 0 {
		datapath = bridges[0].Type
	}
	if datapath == "" {
		datapath = "system"
	}
	if err := alive(ctx, db); errors.Is(err, errEnded) {
		if _, noFile := vswitchd(db); noFile == nil || serverBeside(db) {
			return err
		}
	}
	has := stringSet(answer.Result[0].Rows[0].Types)
	if len(has) > 0 && !slices.Contains(has, datapath) {
		return &NoDatapathError{Type: datapath, Has: has}
	}
	return nil
}

// stringSet decodes a set of strings: one string, or ["set", [...]] (RFC 7047,
// 5.1). It returns nil for anything else.
func stringSet(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var pair []json.RawMessage
	var all []string
	if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 || json.Unmarshal(pair[1], &all) != nil {
		return nil
	}
	return all
}
