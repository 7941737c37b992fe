package mesh

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gremesh/gremesh/bridge/filter"
)

// hangingNAT waits as nft does for a lock.
type hangingNAT struct{ fakeNAT }

func (hangingNAT) Observe(ctx context.Context) (filter.State, error) {
	<-ctx.Done()
	return filter.State{}, ctx.Err()
}

// Whoever asks may be patient, and no pass is made meanwhile.
func TestAQuestionDoesNotKeepThePassesForLong(t *testing.T) {
	for name, ask := range map[string]func(*Loop, context.Context) int{
		"audit": func(l *Loop, ctx context.Context) int { return len(l.Audit(ctx).Problems) },
		"plan":  func(l *Loop, ctx context.Context) int { return len(l.Plan(ctx).Unseen) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := planned(testHost(2))
				l := w.loop()
				l.cfg.NAT = hangingNAT{fakeNAT{w}}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				if got := ask(l, ctx); got == 0 || time.Since(began) > partTimeout {
					t.Errorf("%d complaints after %s", got, time.Since(began))
				}
			})
		})
	}
}
