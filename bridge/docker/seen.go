package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"time"

	"github.com/gremesh/gremesh/bridge/process"
)

// see renews what is known of the running dockerds: each has started with what
// the file holds when it is first seen, unless that was written later.
func (d *Daemon) see(running []process.Process, s state, now Values) error {
	written, err := d.age()
	if err != nil {
		return err
	}
	seen := make(map[process.Process]Values)
	for _, p := range running {
		v, known := d.seen[p]
		switch i := slices.IndexFunc(s.Behind, func(b behind) bool { return b.Process == p }); {
		case known:
			seen[p] = v
		case i >= 0 || !slices.Contains(s.Old, p):
			age, err := p.Age()
			if err != nil {
				return err
			}
			if i < 0 && age > written && !s.Written.agree(now) {
				continue
			}
			started := now
			if i >= 0 {
				started.MTU = s.Behind[i].MTU
			}
			switch {
			case slices.Contains(s.Unread, p):
				started.Direct = ""
			case slices.Contains(s.Read, p):
				started.Direct = "true"
			}
			if s.unmarked(p) {
				started.Accept = ""
			}
			seen[p] = started
		}
	}
	d.seen = seen
	return nil
}

// age is since when daemon.json has been as it is; since ever where there is
// none.
func (d *Daemon) age() (time.Duration, error) {
	info, err := os.Stat(d.cfg.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxInt64, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read Docker's configuration: %w", err)
	}
	return time.Since(info.ModTime()), nil
}

// agree tells whether what we have written last is still there: then a dockerd
// that ran at that time has been compared with it. A key that is not set was as
// it should be already.
func (written Values) agree(now Values) bool {
	return written != Values{} && (written.Bip == "" || written.Bip == now.Bip) && (written.MTU == 0 || written.MTU == now.MTU)
}

// compare notes which of the running dockerds have started with something else
// than what is written now, or may have. Where that is no more than the MTU they go on,
// unless all is put back.
func (d *Daemon) compare(running []process.Process, s *state, now Values, back bool) {
	s.Old, s.Behind = nil, nil
	for _, p := range running {
		v, known := d.seen[p]
		switch {
		case known && v.Bip == now.Bip && v.MTU == now.MTU:
		case known && v.Bip == now.Bip && !back:
			s.Behind = append(s.Behind, behind{p, v.MTU})
		default:
			s.Old = append(s.Old, p)
		}
	}
}
