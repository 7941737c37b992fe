package gossip

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// SpaceError means that the seeds' mesh has another pool or prefix than this
// host, whose own pool and prefix are only defaults. Run returns it before
// Ready only. Nothing has been applied. The caller starts again with Space.
type SpaceError struct{ Space lease.Space }

// Error implements error.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("the mesh has the pool %s and the prefix %d", e.Space.Pool, e.Space.Bits)
}

// SpaceOf returns the pool and the prefix of the mesh of the host whose state
// is in dir. It returns the zero Space if the host is in no mesh, or if the
// values are not known. It reads only one file.
func SpaceOf(dir string) (lease.Space, error) {
	st, err := store{dir}.loadState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return lease.Space{}, nil
	case err != nil:
		return lease.Space{}, err
	case st.Settings == nil:
		return lease.Space{}, nil
	}
	space := lease.Space{Pool: settings.Pool.Of(st.Settings.Values), Bits: settings.Prefix.Of(st.Settings.Values)}
	if err := space.Validate(); err != nil {
		return lease.Space{}, nil //nolint:nilerr // of a later version: the configuration decides
	}
	return space, nil
}
