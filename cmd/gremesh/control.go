package main

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

// askTimeout bounds one question to the agent. Leaving waits for a restart of
// Docker that is under way.
const askTimeout = 3 * time.Minute

// errNoAgent is that nothing listens on the control socket.
var errNoAgent = errors.New("no agent answers")

// client asks a running agent through its control socket: HTTP with JSON.
type client struct {
	socket string
	http   *http.Client
}

func newClient(socket string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &client{
		socket: socket,
		http:   &http.Client{Timeout: askTimeout, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}
}

func (c *client) status(ctx context.Context) (status mesh.Status, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/status", &status)
	return status, understood(err, status.Host.Name != "")
}

func (c *client) audit(ctx context.Context) (audit mesh.Audit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/audit", &audit)
	return audit, understood(err, audit.Drift != nil)
}

// plan asks what the agent would change now.
func (c *client) plan(ctx context.Context) (preview mesh.Preview, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/plan", &preview)
	return preview, understood(err, preview.Host != "")
}

// meshAudit is what two looks at the whole mesh have in common.
func (c *client) meshAudit(ctx context.Context) (audit mesh.FullAudit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/mesh", &audit)
	return audit, understood(err, audit.Hosts != nil)
}

// meshLook is one look at the whole mesh, changes under way included.
func (c *client) meshLook(ctx context.Context) (audit mesh.FullAudit, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/mesh?one=true", &audit)
	return audit, understood(err, audit.Hosts != nil)
}

// adoptable is what adopt would do.
func (c *client) adoptable(ctx context.Context) (adoption mesh.Adoption, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/adopt", &adoption)
	return adoption, understood(err, adoption.Ports != nil)
}

// adopt takes ports over that were made by hand, and returns which.
func (c *client) adopt(ctx context.Context) (adoption mesh.Adoption, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/adopt", &adoption)
	return adoption, understood(err, adoption.Ports != nil)
}

// leave takes the host out of the mesh; with release it gives its subnet up.
func (c *client) leave(ctx context.Context, release bool) error {
	return c.ask(ctx, http.MethodPost, fmt.Sprintf("/v1/leave?release=%t", release), nil)
}

// settings are those of the mesh, as this host has them.
func (c *client) settings(ctx context.Context) (list mesh.SettingList, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/config", &list)
	return list, understood(err, list.Settings != nil)
}

// set changes settings of the mesh, and returns all of them.
func (c *client) set(ctx context.Context, changes []settings.Value) (list mesh.SettingList, err error) {
	err = c.send(ctx, http.MethodPost, "/v1/config", changes, &list)
	return list, understood(err, list.Settings != nil)
}

func (c *client) leases(ctx context.Context) (leases []mesh.Lease, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/leases", &leases)
	return leases, understood(err, leases != nil)
}

// findForgotten returns the host, by name or ID, that forget would forget.
func (c *client) findForgotten(ctx context.Context, host string) (found mesh.Forgotten, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/forget?"+url.Values{"host": {host}}.Encode(), &found)
	return found, understood(err, found.ID != "")
}

// forget forgets a host, by name or ID.
func (c *client) forget(ctx context.Context, host string, how mesh.ForgetHow) (done mesh.Forgotten, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/forget?"+url.Values{"host": {host}, "how": {string(how)}}.Encode(), &done)
	return done, understood(err, done.ID != "")
}

// renumber gives this host another subnet, to if it is valid, and returns it.
func (c *client) renumber(ctx context.Context, to netip.Prefix) (netip.Prefix, error) {
	query := ""
	if to.IsValid() {
		query = "?" + url.Values{"to": {to.String()}}.Encode()
	}
	var got struct {
		Subnet netip.Prefix `json:"subnet"`
	}
	err := c.ask(ctx, http.MethodPost, "/v1/renumber"+query, &got)
	return got.Subnet, understood(err, got.Subnet.IsValid())
}

// retry has the first tunnel type tried again with a host, by name or ID, and
// returns it when the tunnel is up with it.
func (c *client) retry(ctx context.Context, host string) (string, error) {
	var got struct {
		Type string `json:"type"`
	}
	err := c.ask(ctx, http.MethodPost, "/v1/retry?"+url.Values{"host": {host}}.Encode(), &got)
	return got.Type, understood(err, got.Type != "")
}

// understood is an error where an answer lacks what every agent's has: another
// program's, in which no drift is found, does not say that there is none.
func understood(err error, whole bool) error {
	if err == nil && !whole {
		return errors.New("the answer is not an agent's: what listens on the control socket?")
	}
	return err
}

// ask sends a request and decodes its answer into answer; nil: it says nothing.
func (c *client) ask(ctx context.Context, method, path string, answer any) error {
	return c.send(ctx, method, path, nil, answer)
}

// send is ask with a body; nil: there is none.
func (c *client) send(ctx context.Context, method, path string, what, answer any) error {
	var body io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	// The socket is the address; the URL's host is there for form's sake.
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

// refusal is the error that the agent answered with: {"error": "..."}.
func refusal(resp *http.Response) error {
	var body struct {
		Error string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body); err != nil || body.Error == "" {
		return fmt.Errorf("the agent answered %s", resp.Status)
	}
	return errors.New(body.Error)
}

// explain says what a failed connection means and what to do.
func (c *client) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start it with \"systemctl start gremesh\", or in the foreground with \"gremesh agent\"", errNoAgent, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("not allowed to ask the agent at %s: become root", c.socket)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("the agent at %s has not answered within %s; its log may say why", c.socket, askTimeout)
	}
	return fmt.Errorf("ask the agent at %s: %w", c.socket, err)
}
