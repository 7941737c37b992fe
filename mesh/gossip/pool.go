package gossip

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/gremesh/gremesh/mesh/lease"
	"github.com/gremesh/gremesh/mesh/settings"
)

// PoolError means that the seeds' mesh has another pool or prefix than this
// host, whose own pool and prefix are only defaults. Run returns it before
// Ready only. Nothing has been applied. The caller starts again with Pool.
type PoolError struct{ Pool lease.Pool }

// Error implements error.
func (e *PoolError) Error() string {
	return fmt.Sprintf("the mesh has the pool %s and the prefix %d", e.Pool.Prefix, e.Pool.Bits)
}

// PoolFor returns the pool and the prefix of the mesh of the host whose state
// is in dir. It returns the zero Pool if the host is in no mesh, or if the
// values are not known. It reads only one file.
func PoolFor(dir string) (lease.Pool, error) {
	st, err := store{dir}.loadState()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return lease.Pool{}, nil
	case err != nil:
		return lease.Pool{}, err
	case st.Settings == nil:
		return lease.Pool{}, nil
	}
	pool := lease.Pool{Prefix: settings.Pool.Of(st.Settings.Values), Bits: settings.Prefix.Of(st.Settings.Values)}
	if err := pool.Validate(); err != nil {
		return lease.Pool{}, nil //nolint:nilerr // of a later version: the configuration decides
	}
	return pool, nil
}
