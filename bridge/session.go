package bridge

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// session holds a socket and the devices of one Apply. Its steps share both, so that
// each device is looked up once. If another program creates a device again
// meanwhile, the steps on this device fail. The next pass applies them again.
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

// link calls do with the device of this name. It returns an error if the device does
// not exist.
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
