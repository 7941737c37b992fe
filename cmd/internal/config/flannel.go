package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"

	"github.com/subosito/gotenv"

	"github.com/gremesh/gremesh/mesh/regular"
)

// flannelKey names the variable that flanneld writes its host's lease to. The
// value is the first address of the subnet with its prefix length.
const flannelKey = "FLANNEL_SUBNET"

// readFlannelLease reads this host's subnet in a flannel network from path, the
// file that flanneld writes (/run/flannel/subnet.env). If the file does not
// exist, for example after a reboot, it returns the zero prefix and no error.
// checkImport then reports the missing file.
func readFlannelLease(path string) (netip.Prefix, error) {
	f, err := regular.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return netip.Prefix{}, nil
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	return parseFlannelLease(io.LimitReader(f, maxFlannelFile))
}

// maxFlannelFile limits how many bytes are read from flanneld's file.
const maxFlannelFile = 64 << 10

func parseFlannelLease(r io.Reader) (netip.Prefix, error) {
	vars, err := gotenv.StrictParse(r)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("is not a file of variables: %w", err)
	}
	text, ok := vars[flannelKey]
	if !ok {
		return netip.Prefix{}, errors.New("has no line " + flannelKey + "=172.17.43.1/24, which flanneld writes")
	}
	lease, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("has %s=%q, which is not an address with a prefix length", flannelKey, text)
	}
	return lease.Masked(), nil
}
