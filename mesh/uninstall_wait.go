package mesh

import (
	"context"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
)

// dockerdPatience is how long Uninstall waits for a running dockerd to answer.
const dockerdPatience = 15 * time.Second

// answering waits until a running dockerd answers, because nothing is known
// about it before. It may be starting. Or it may be stopping, because an
// earlier run was killed while it restarted Docker; then nobody would start it
// again. If dockerd still does not answer after dockerdPatience, answering
// returns without an error, and the caller restarts it.
func (u Uninstall) answering(ctx context.Context, have docker.State) (docker.State, error) {
	ctx, cancel := context.WithTimeout(ctx, dockerdPatience)
	defer cancel()
	const every = 200 * time.Millisecond
	for have.Running && have.Starting {
		select {
		case <-ctx.Done():
			return have, nil
		case <-time.After(every):
		}
		now, err := u.Docker.Observe(ctx)
		if ctx.Err() != nil {
			return have, nil //nolint:nilerr // it was not waited for to the end
		}
		if err != nil {
			return have, err
		}
		have = now
	}
	return have, nil
}
