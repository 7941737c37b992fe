package ovsdb

import (
	"context"
	"fmt"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// Traffic holds the counters of an Interface since its creation (Interface
// statistics). ovs-vswitchd updates them every five seconds.
type Traffic struct {
	RxBytes uint64
	TxBytes uint64
}

// Traffic returns the counters of every Interface, by name. While ovs-vswitchd
// is down, nothing updates the counters, so it returns an error.
func (c *Client) Traffic(ctx context.Context) (map[string]Traffic, error) {
	if down := c.pulse.state(ctx); down != "" {
		return nil, &DownError{down, RestartCommand, errEnded}
	}
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	results, err := s.transact(ctx, []ovsdb.Operation{{
		Op: ovsdb.OperationSelect, Table: tableInterface, Columns: []string{"name", "statistics"},
	}})
	if err != nil {
		return nil, fmt.Errorf("read Interface statistics: %w", err)
	}
	traffic := make(map[string]Traffic, len(results[0].Rows))
	for _, row := range results[0].Rows {
		name, _ := row["name"].(string)
		counters, _ := row["statistics"].(ovsdb.OvsMap)
		traffic[name] = Traffic{counter(counters, "rx_bytes"), counter(counters, "tx_bytes")}
	}
	return traffic, nil
}

// counter reads a counter. libovsdb decodes every number as float64.
func counter(counters ovsdb.OvsMap, key string) uint64 {
	n, _ := counters.GoMap[key].(float64)
	return uint64(n)
}
