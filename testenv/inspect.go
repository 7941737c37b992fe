package testenv

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
)

// inspected is a running container, according to `docker inspect`.
type inspected struct {
	pid  string
	addr netip.Addr // on docker0
}

// netns returns the path of the container's network namespace.
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

// askDocker requests a path of Docker's API.
func (h *Host) askDocker(ctx context.Context, path string, answer any) error {
	if err := get(ctx, h.path("docker", "docker.sock"), path, answer); err != nil {
		return fmt.Errorf("%s: ask dockerd: %w", h.Name, err)
	}
	return nil
}
