package mesh

import (
	"context"
	"time"

	"github.com/gremesh/gremesh/bridge/docker"
)

// dockerdPatience is how long a dockerd that runs is waited for until it answers.
const dockerdPatience = 15 * time.Second

// answering waits while a dockerd runs that does not answer, because nothing can
// be said of it: it may be starting, or ending because an earlier run was killed
// while it had Docker restarted. In the second case nobody would start it again.
// One that still does not answer is left to be restarted.
func (u Uninstall) answering(ctx context.Context, have docker.Actual) (docker.Actual, error) {
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
