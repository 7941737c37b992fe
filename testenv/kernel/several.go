package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// RunSeveral runs a command in several guests side by side, each on a different
// processor if there are enough. The guests share Config.Share. Their output is
// copied line by line, and each line starts with the guest's number: "1| ".
func RunSeveral(ctx context.Context, cfg Config, guests int, argv ...string) error {
	if guests == 1 {
		return Run(ctx, cfg, argv...)
	}
	out := &shared{to: orDiscard(cfg.Stdout)}
	errs := &shared{to: orDiscard(cfg.Stderr)}
	ends := make([]error, guests)
	var group sync.WaitGroup
	for i := range ends {
		group.Go(func() {
			prefix := fmt.Sprintf("%d| ", i+1)
			its, itsErrs := &lines{to: out, prefix: prefix}, &lines{to: errs, prefix: prefix}
			own := cfg
			own.Stdout, own.Stderr, own.place = its, itsErrs, i
			ends[i] = errors.Join(Run(ctx, own, argv...), its.flush(), itsErrs.flush())
		})
	}
	group.Wait()
	return errors.Join(ends...)
}

// shared is a writer that several guests use.
type shared struct {
	mu sync.Mutex
	to io.Writer
}

func (s *shared) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.to.Write(line)
}

// lines passes on whole lines, with a prefix before each.
type lines struct {
	to     io.Writer
	prefix string
	begun  []byte
}

func (l *lines) Write(text []byte) (int, error) {
	for rest := text; ; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		l.begun = append(l.begun, line...)
		if !whole {
			return len(text), nil
		}
		if err := l.end(); err != nil {
			return 0, err
		}
		rest = after
	}
}

func (l *lines) end() error {
	_, err := fmt.Fprintf(l.to, "%s%s\n", l.prefix, l.begun)
	l.begun = l.begun[:0]
	return err
}

// flush passes on the last line if it has no end.
func (l *lines) flush() error {
	if len(l.begun) == 0 {
		return nil
	}
	return l.end()
}
