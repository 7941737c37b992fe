package mesh

import "time"

// resync makes the components read again the state for which there are no
// events, if the last time was resyncEvery ago. It returns the time of the next
// resync.
func (l *Loop) resync(now time.Time) (again time.Time) {
	if now.Sub(l.anew) >= resyncEvery {
		l.anew, l.seen = now, seen{}
		l.engine.Notify(engineComponents...)
		l.cfg.Switch.Refresh()
		l.cfg.Kernel.Refresh()
	}
	return l.anew.Add(resyncEvery)
}
