package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

// askTimeout bounds one request to the agent. It is long, because leaving waits
// for a Docker restart in progress.
const askTimeout = 3 * time.Minute

// ErrNoAgent means that no process listens on the control socket.
var ErrNoAgent = errors.New("no agent answers")

// Client sends requests to a running agent over its control socket, as HTTP
// with JSON.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a client for the agent that listens on the unix socket. It
// does not connect yet.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &Client{
		socket: socket,
		http:   &http.Client{Timeout: askTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}
}

// Status returns this host, its peers and their tunnels.
func (c *Client) Status(ctx context.Context) (status mesh.Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/status", &status)
	return status, checkResponse(err, status.Host.Name != "")
}

// Audit compares this host with its desired state.
func (c *Client) Audit(ctx context.Context) (audit mesh.Audit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/audit", &audit)
	return audit, checkResponse(err, audit.Drift != nil)
}

// Plan returns the changes that the agent would make now.
func (c *Client) Plan(ctx context.Context) (preview mesh.Preview, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/plan", &preview)
	return preview, checkResponse(err, preview.Host != "")
}

// MeshAudit returns the findings that two audits of the whole mesh have in
// common.
func (c *Client) MeshAudit(ctx context.Context) (audit mesh.FullAudit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/mesh", &audit)
	return audit, checkResponse(err, audit.Hosts != nil)
}

// MeshLook returns one audit of the whole mesh. The result includes faults that
// may be changes in progress.
func (c *Client) MeshLook(ctx context.Context) (audit mesh.FullAudit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/mesh?one=true", &audit)
	return audit, checkResponse(err, audit.Hosts != nil)
}

// Adoptable returns the ports that adopt would adopt, without changing
// anything.
func (c *Client) Adoptable(ctx context.Context) (adoption mesh.Adoption, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/adopt", &adoption)
	return adoption, checkResponse(err, adoption.Ports != nil)
}

// Adopt adopts the manually created ports and returns them.
func (c *Client) Adopt(ctx context.Context) (adoption mesh.Adoption, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/adopt", &adoption)
	return adoption, checkResponse(err, adoption.Ports != nil)
}

// Leave takes the host out of the mesh. With release it also gives up the
// host's subnet.
func (c *Client) Leave(ctx context.Context, release bool) error {
	return c.ask(ctx, http.MethodPost, fmt.Sprintf("/v1/leave?release=%t", release), nil)
}

// Settings returns the settings of the mesh, as this host has them.
func (c *Client) Settings(ctx context.Context) (list mesh.SettingList, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/config", &list)
	return list, checkResponse(err, list.Settings != nil)
}

// Set changes settings of the mesh and returns all settings.
func (c *Client) Set(ctx context.Context, changes []settings.Value) (list mesh.SettingList, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/config", changes, &list)
	return list, checkResponse(err, list.Settings != nil)
}

// Leases returns every subnet that is not free.
func (c *Client) Leases(ctx context.Context) (leases []mesh.Lease, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/leases", &leases)
	return leases, checkResponse(err, leases != nil)
}

// FindForgotten returns the host that forget would forget, given its name or
// ID.
func (c *Client) FindForgotten(ctx context.Context, host string) (found mesh.Forgotten, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/forget?"+url.Values{"host": {host}}.Encode(), &found)
	return found, checkResponse(err, found.ID != "")
}

// Forget forgets a host, given its name or ID.
func (c *Client) Forget(ctx context.Context, host string, how mesh.ForgetHow) (done mesh.Forgotten, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/forget?"+url.Values{"host": {host}, "how": {string(how)}}.Encode(), &done)
	return done, checkResponse(err, done.ID != "")
}

// Renumber gives this host another subnet and returns it. If to is not valid,
// the agent chooses the subnet.
func (c *Client) Renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error) {
	query := ""
	if to.IsValid() {
		query = "?" + url.Values{"to": {to.String()}}.Encode()
	}
	var got struct {
		Subnet netip.Prefix `json:"subnet"`
	}
	err := c.ask(ctx, http.MethodPost, "/v1/renumber"+query, &got)
	return got.Subnet, checkResponse(err, got.Subnet.IsValid())
}

// Retry makes the agent try the first tunnel type again with a host, given its
// name or ID. When the tunnel is up with that type, retry returns the type.
func (c *Client) Retry(ctx context.Context, host string) (string, error) {
	var got struct {
		Type string `json:"type"`
	}
	err := c.ask(ctx, http.MethodPost, "/v1/retry?"+url.Values{"host": {host}}.Encode(), &got)
	return got.Type, checkResponse(err, got.Type != "")
}

// checkResponse returns an error if whole is false, which means that the answer
// lacks a field that every agent sends. The answer may come from another
// program. Without this check, such an answer would look like an audit without
// drift.
func checkResponse(err error, whole bool) error {
	if err == nil && !whole {
		return errors.New("the answer is not an agent's: what listens on the control socket?")
	}
	return err
}

// ask sends a request without a body and decodes the response into answer. If
// answer is nil, ask ignores the fields of the response.
func (c *Client) ask(ctx context.Context, method, path string, answer any) error {
	return c.send(ctx, method, path, nil, answer)
}

// send sends a request with what, encoded as JSON, as its body. If what is nil,
// the request has no body. It decodes the response like ask.
func (c *Client) send(ctx context.Context, method, path string, what, answer any) error {
	var body io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	// The client connects to the socket. net/http requires a host in the URL
	// but nothing uses it.
	req, err := http.NewRequestWithContext(ctx, method, "http://gremesh"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close() //nolint:errcheck // the answer has been read by then

	if resp.StatusCode >= http.StatusBadRequest {
		return refusal(resp)
	}
	if answer == nil {
		answer = new(struct{})
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("the agent's answer to %s %s is not understood: %w", method, path, err)
	}
	return nil
}

// refusal returns the error in the agent's response: {"error": "..."}.
func refusal(resp *http.Response) error {
	var body struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || body.Error == "" {
		return fmt.Errorf("the agent answered %s", resp.Status)
	}
	return errors.New(body.Error)
}

// explain returns an error that gives the meaning of a failed connection and
// the remedy.
func (c *Client) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start it with \"systemctl start gremesh\", or in the foreground with \"gremesh agent\"", ErrNoAgent, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("not allowed to ask the agent at %s: become root", c.socket)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the agent at %s has not answered within %s; its log may say why", c.socket, askTimeout)
	}
	return fmt.Errorf("ask the agent at %s: %w", c.socket, err)
}
