package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// getTimeout limits a request. It is longer than any answer takes, even on a
// busy machine.
const getTimeout = time.Minute

// get requests a path of a daemon's API (HTTP with JSON on a unix socket) and
// decodes the answer. It is cheap enough for polling. The command line clients
// are large programs and take at least ten times as long.
func get(ctx context.Context, socket, path string, answer any) error {
	client := http.Client{Timeout: getTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s to %s", response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read its answer to %s: %w", path, err)
	}
	return nil
}
