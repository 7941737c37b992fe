package gossip

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// SpaceError means that the mesh of the seeds has another pool or prefix than this
// host, whose own are only defaults. Nothing has been applied: start again with
// Space. It ends Run before Ready only.
type SpaceError struct{ Space lease.Space }

// Error implements error.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("the mesh has the pool %s and the prefix %d", e.Space.Pool, e.Space.Bits)
}

// SpaceOf returns the pool and the prefix of the mesh that the host whose state is
// in dir is in; zero if it is in none, or if they are not known. It reads one file.
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
