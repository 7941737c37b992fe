package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// getTimeout is longer than whatever answers takes, on a machine that is busy.
const getTimeout = time.Minute

// get asks a daemon's API, HTTP with JSON on a socket in the file system. It is
// cheap enough to be polled: the clients of the command line, which are large
// programs, take ten times the time and more.
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
