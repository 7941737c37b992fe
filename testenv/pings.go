package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// PingEvery is the time between two pings of a pair.
const PingEvery = 50 * time.Millisecond

// Pings pings continuously from a container of each host to a container of each
// other host. If a container starts again with another address, Pings uses the
// new address.
type Pings struct {
	ends  []*end
	stop  context.CancelFunc
	group sync.WaitGroup

	mu    sync.Mutex
	pairs map[Pair]*replies
}

// Pair is a pair of hosts, in the direction of the pings.
type Pair struct{ From, To string }

// replies holds the answers of a pair since the last Mark.
type replies struct {
	last  time.Time
	worst time.Duration
	sent  int // up to the last answer
	lost  int
}

// end is a container that sends and receives pings.
type end struct {
	host *Host
	name string

	mu   sync.Mutex
	life *life // nil if the container does not run
}

// life is one run of a container.
type life struct {
	pid  string
	addr netip.Addr
	over chan struct{}
}

// Pings starts to ping between the hosts' containers with the given name. It
// returns when every pair has had an answer.
func (l *Lab) Pings(ctx context.Context, container string) (*Pings, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	p := &Pings{stop: stop, pairs: map[Pair]*replies{}}
	for _, h := range l.hosts {
		e := &end{host: h, name: container}
		p.ends = append(p.ends, e)
		p.group.Go(func() { e.follow(ctx) })
	}
	for _, from := range p.ends {
		for _, to := range p.ends {
			if from != to {
				p.pairs[Pair{from.host.Name, to.host.Name}] = &replies{last: time.Now()}
				p.group.Go(func() { p.keep(ctx, from, to) })
			}
		}
	}
	limit, cancel := context.WithTimeout(ctx, Patience(30*time.Second))
	defer cancel()
	began := time.Now()
	if err := Until(limit, func() error { return p.Answered(began) }); err != nil {
		p.Close()
		return nil, err
	}
	p.Mark()
	return p, nil
}

// Close ends the pings.
func (p *Pings) Close() {
	p.stop()
	p.group.Wait()
}

// follow keeps the container's current life up to date until ctx ends.
func (e *end) follow(ctx context.Context) {
	for ctx.Err() == nil {
		l := e.find(ctx)
		e.set(l)
		for ctx.Err() == nil && l != nil && alive(l.pid) {
			pause(ctx)
		}
		e.set(nil)
		if l != nil {
			close(l.over)
		}
		pause(ctx)
	}
}

// find returns the container's life, or nil if the container does not run.
func (e *end) find(ctx context.Context) *life {
	c, err := e.host.inspect(ctx, e.name)
	if err != nil || !alive(c.pid) {
		return nil // dockerd does not answer, or the container has ended
	}
	return &life{pid: c.pid, addr: c.addr, over: make(chan struct{})}
}

func (e *end) set(l *life) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.life = l
}

func (e *end) get() *life {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.life
}

func alive(pid string) bool {
	_, err := os.Stat("/proc/" + pid + "/ns/net")
	return pid != "" && pid != "0" && err == nil
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(PingEvery):
	}
}

// keep pings from one container to another while both run. It starts again
// after a restart of a container, until ctx ends.
func (p *Pings) keep(ctx context.Context, from, to *end) {
	for ctx.Err() == nil {
		if src, dst := from.get(), to.get(); src != nil && dst != nil {
			p.ping(ctx, Pair{from.host.Name, to.host.Name}, src, dst)
		}
		pause(ctx)
	}
}

func (p *Pings) ping(ctx context.Context, pair Pair, src, dst *life) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", "--net=/proc/"+src.pid+"/ns/net",
		"ping", "-n", "-i", fmt.Sprint(PingEvery.Seconds()), dst.addr.String())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return // the container has ended
	}
	p.group.Go(func() {
		defer cancel()
		select {
		case <-src.over:
		case <-dst.over:
		case <-ctx.Done():
		}
	})
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var number int
		if _, text, ok := strings.Cut(lines.Text(), " icmp_seq="); ok && strings.Contains(text, " ttl=") {
			if _, err := fmt.Sscan(text, &number); err == nil {
				p.answer(pair, time.Now(), number-last)
				last = number
			}
		}
	}
	_ = cmd.Wait() // a signal ends it
}

// answer records an answer. It is the answer to the last of the given number of
// pings; the pings before it were lost.
func (p *Pings) answer(pair Pair, at time.Time, pings int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.pairs[pair]
	r.sent += pings
	r.lost += pings - 1
	r.worst, r.last = max(r.worst, at.Sub(r.last)), at
}

// Mark resets the counts of Outage and Lost.
func (p *Pings) Mark() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.pairs {
		r.worst, r.sent, r.lost = 0, 0, 0
	}
}

// Lost returns the number of pings that were sent on all pairs since the last
// Mark. The error names the pairs on which pings were lost.
func (p *Pings) Lost() (sent int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for pair, r := range p.pairs {
		sent += r.sent
		if r.lost > 0 {
			errs = append(errs, fmt.Errorf("from %s to %s %d of %d pings were lost", pair.From, pair.To, r.lost, r.sent))
		}
	}
	return sent, errors.Join(errs...)
}

// Outage returns the longest time without an answer since the last Mark, and
// the pair with that time. It subtracts the time between two pings.
func (p *Pings) Outage() (worst time.Duration, where Pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for pair, r := range p.pairs {
		if gap := max(r.worst, now.Sub(r.last)); gap > worst {
			worst, where = gap, pair
		}
	}
	return max(0, worst-PingEvery), where
}

// Answered returns an error that names the pairs without an answer since the
// given time.
func (p *Pings) Answered(since time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for pair, r := range p.pairs {
		if !r.last.After(since) {
			errs = append(errs, fmt.Errorf("no answer from %s to %s", pair.To, pair.From))
		}
	}
	return errors.Join(errs...)
}
