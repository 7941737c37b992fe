package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
)

// inspected is a running container, as `docker inspect` has it.
type inspected struct {
	pid  string
	addr netip.Addr // on docker0
}

// netns is the path of the container's network namespace.
func (c inspected) netns() string { return "/proc/" + c.pid + "/ns/net" }

// inspect asks the host's dockerd for a running container.
func (h *Host) inspect(ctx context.Context, name string) (inspected, error) {
	var answer struct {
		State           struct{ Pid int }
		NetworkSettings struct {
			Networks struct {
				Bridge struct{ IPAddress string } `json:"bridge"`
			}
		}
	}
	if err := h.askDocker(ctx, "/containers/"+name+"/json", &answer); err != nil {
		return inspected{}, err
	}
	c := inspected{pid: strconv.Itoa(answer.State.Pid)}
	var err error
	if c.addr, err = netip.ParseAddr(answer.NetworkSettings.Networks.Bridge.IPAddress); err != nil {
		return inspected{}, fmt.Errorf("%s: container %s does not run: %w", h.Name, name, err)
	}
	return c, nil
}

// askDocker gets a path of Docker's API. It is cheap enough to be polled: the
// client of the command line takes ten times the time.
func (h *Host) askDocker(ctx context.Context, path string, answer any) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", h.path("docker", "docker.sock"))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: ask dockerd: %w", h.Name, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: dockerd answers %s to %s", h.Name, response.Status, path)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s: read dockerd's answer: %w", h.Name, err)
	}
	return nil
}
