package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/lease"
)

const (
	surveyPatience  = 2 * time.Second  // for the answer of a host, from when it is asked or has said that it is at it
	surveyLimit     = 10 * time.Second // for all; who was not asked by then counts as silent
	signEvery       = 500 * time.Millisecond
	surveyAtOnce    = 256 // hosts that are asked at the same time
	answersAtOnce   = 3
	waitingAskers   = 16 // the next one is not answered, and may ask again
	maxRow          = 4 << 20
	answerRoundTrip = 500 * time.Millisecond // of the patience, for what is not making the row
)

// question asks a host for its row. It goes by TCP, as the answer does: one
// that is lost would be reported as a host that does not answer.
type question struct {
	From    lease.ID `cbor:"1,keyasint"`
	Number  uint64   `cbor:"2,keyasint"`           // random, not 0
	Patient bool     `cbor:"3,keyasint,omitempty"` // it waits for who says that it is at it
}

// reply is the answer to the question with its number.
type reply struct {
	Number uint64 `cbor:"1,keyasint"`
	Row    []byte `cbor:"2,keyasint"` // an encoded mesh.Row: only who waits for it decodes it
}

// asker is where the answer to a question goes.
type asker struct {
	question

	at netip.AddrPort
}

// surveys are the questions under way, asked here and by others.
type surveys struct {
	row     func(context.Context) mesh.Row // nil: this host answers no questions
	askers  chan asker
	inquiry chan inquiry

	mu      sync.Mutex
	awaited map[uint64]awaited // by number
}

// awaited is where an answer goes, and the signs of who makes one.
type awaited struct {
	row   chan []byte   // capacity 1
	signs chan struct{} // capacity 1
}

func newSurveys() *surveys {
	return &surveys{
		askers: make(chan asker, waitingAskers), inquiry: make(chan inquiry), awaited: make(map[uint64]awaited),
	}
}

// inquiry is a survey that somebody waits for.
type inquiry struct {
	ctx    context.Context
	hosts  []member
	result chan<- mesh.Survey // capacity 1
}

// AnswerWith has this host answer the questions of others with its row. It is to
// be called before Run. The function is called by several goroutines at once,
// with a context that ends when an answer would be too late.
func (n *Node) AnswerWith(row func(context.Context) mesh.Row) { n.surveys.row = row }

// Survey asks all hosts that are alive for their rows, 256 at once, and returns
// what has come within 2 s of each question, or of the last sign that the host is
// at it, and within 10 s. One survey runs at a time; another
// waits for it. Of a thousand hosts that are all silent not all have been asked
// when it ends, after 12 s; they count as asked.
func (n *Node) Survey(ctx context.Context) (mesh.Survey, error) {
	var hosts []member
	if err := n.ask(ctx, func() lease.Output {
		for _, m := range n.members {
			hosts = append(hosts, m)
		}
		return lease.Output{}
	}); err != nil {
		return mesh.Survey{}, err
	}
	result := make(chan mesh.Survey, 1)
	select {
	case n.surveys.inquiry <- inquiry{ctx, hosts, result}:
	case <-n.stopped:
		return mesh.Survey{}, errStopped
	case <-ctx.Done():
		return mesh.Survey{}, ctx.Err()
	}
	select {
	case survey := <-result:
		return survey, nil
	case <-ctx.Done():
		return mesh.Survey{}, ctx.Err()
	}
}

// inquire is the goroutine that runs surveys.
func (n *Node) inquire(ctx context.Context) error {
	for {
		select {
		case i := <-n.surveys.inquiry:
			i.result <- n.survey(ctx, i)
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) survey(ctx context.Context, i inquiry) mesh.Survey {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)() // whoever asked has gone
	var survey mesh.Survey
	var mu sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, surveyAtOnce)
	for _, m := range i.hosts {
		survey.Asked = append(survey.Asked, m.id)
	}
	for _, m := range i.hosts {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-places }()
			row, err := n.question(ctx, m)
			if err != nil {
				n.cfg.Log.Debug("ask a host for its row", "host", m.id, "underlay", m.underlay, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			survey.Rows = append(survey.Rows, row)
		})
	}
	group.Wait()
	return survey
}

// question asks one host for its row and waits for it.
func (n *Node) question(ctx context.Context, m member) (mesh.Row, error) {
	q := question{From: n.self, Number: rand.Uint64N(1<<64-1) + 1, Patient: true}
	its := awaited{make(chan []byte, 1), make(chan struct{}, 1)}
	n.surveys.await(q.Number, its)
	defer n.surveys.forget(q.Number)
	n.sendReliably(m.id, m.underlay, encode(n.sign(packet{Mesh: n.View().Mesh, Ask: &q})))
	patience := time.NewTimer(surveyPatience)
	defer patience.Stop()
	for {
		select {
		case data := <-its.row:
			row, err := decodeRow(data)
			if err == nil && row.ID != m.id {
				err = fmt.Errorf("it answers as %s", row.ID)
			}
			return row, err
		case <-its.signs:
			patience.Reset(surveyPatience)
		case <-patience.C:
			return mesh.Row{}, fmt.Errorf("no answer and no sign of one for %s", surveyPatience)
		case <-ctx.Done():
			return mesh.Row{}, ctx.Err()
		}
	}
}

// await says where the answer with a number goes.
func (s *surveys) await(number uint64, to awaited) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited[number] = to
}

// forget says that nobody waits any more.
func (s *surveys) forget(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.awaited, number)
}

// deliver is called by the goroutine that owns the state. An answer that nobody
// waits for is dropped, unread.
func (s *surveys) deliver(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to, waits := s.awaited[r.Number]; waits {
		to.row <- r.Row
		delete(s.awaited, r.Number)
	}
}

// sign is called by the goroutine that owns the state.
func (s *surveys) sign(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.awaited[number].signs <- struct{}{}:
	default: // nobody waits, or there is one that was not seen yet
	}
}

// take is called by the goroutine that owns the state.
func (s *surveys) take(q question, at netip.AddrPort) {
	if s.row == nil {
		return
	}
	select {
	case s.askers <- asker{q, at}:
	default: // it may ask again
	}
}

// answer is one of the goroutines that answer the questions of others.
func (n *Node) answer(ctx context.Context) error {
	for {
		select {
		case a := <-n.surveys.askers:
			n.tellRow(ctx, a)
		case <-ctx.Done():
			return nil
		}
	}
}

// tellRow makes the row and sends it. Where that takes long, because a pass is
// under way or the machine is busy, it says meanwhile that it is at it; by
// datagram, as one that is lost is followed by others in time.
func (n *Node) tellRow(ctx context.Context, a asker) {
	limit := surveyPatience
	if a.Patient {
		limit = surveyLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit-answerRoundTrip)
	defer cancel()
	made := make(chan mesh.Row, 1)
	go func() { made <- n.surveys.row(ctx) }()
	signs := time.NewTicker(signEvery)
	defer signs.Stop()
	for {
		select {
		case row := <-made:
			n.sendReliably(a.From, a.at, encode(n.sign(packet{Mesh: n.View().Mesh, Tell: &reply{Number: a.Number, Row: encode(row)}})))
			return
		case <-signs.C:
			n.sendPacket(a.From, a.at, packet{Mesh: n.View().Mesh, AtIt: a.Number})
		}
	}
}
