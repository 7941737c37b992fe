package bridge

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// session is what the steps of one Apply share: a socket, and the devices that
// they have met, each looked up once. A device that another program makes anew
// meanwhile fails the steps on it, and the next pass mends what is left.
type session struct {
	*netlink.Handle
	links map[string]netlink.Link
}

func newSession() (*session, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &session{h, make(map[string]netlink.Link)}, nil
}

// link calls do with the device of that name.
func (s *session) link(name string, do func(netlink.Link) error) error {
	l, known := s.links[name]
	if !known {
		var err error
		if l, err = s.LinkByName(name); err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		s.links[name] = l
	}
	return do(l)
}
