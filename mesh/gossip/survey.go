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
	answerTimeout   = 2 * time.Second  // maximum wait for an answer, after the question or the last sign of progress
	surveyLimit     = 10 * time.Second // for a whole survey; a host that was not asked by then counts as silent
	signEvery       = 500 * time.Millisecond
	surveyAtOnce    = 256 // maximum number of hosts that are asked at the same time
	answersAtOnce   = 3
	waitingAskers   = 16 // a further question is dropped; its sender may ask again
	maxRow          = 4 << 20
	answerRoundTrip = 500 * time.Millisecond // reserved for sending the question and the answer
)

// question asks a host for its row. The question and the answer go by TCP. If
// a datagram were lost, the survey would report a silent host.
type question struct {
	From    lease.ID `cbor:"1,keyasint"`
	Number  uint64   `cbor:"2,keyasint"`           // random, not 0
	Patient bool     `cbor:"3,keyasint,omitempty"` // the sender keeps waiting while it receives signs of progress
}

// reply answers the question with the same number.
type reply struct {
	Number uint64 `cbor:"1,keyasint"`
	Row    []byte `cbor:"2,keyasint"` // an encoded mesh.Row; only a host that waits for it decodes it
}

// asker is a received question with the address for the answer.
type asker struct {
	question

	at netip.AddrPort
}

// surveys holds the questions in progress, from this host and from other hosts.
type surveys struct {
	row      func(context.Context) mesh.Row // nil: this host answers no questions
	askers   chan asker
	requests chan surveyRequest

	mu      sync.Mutex
	awaited map[uint64]awaited // by number
}

// awaited holds the channels for the answer to one question and for the signs
// of progress.
type awaited struct {
	row   chan []byte   // capacity 1
	signs chan struct{} // capacity 1
}

func newSurveys() *surveys {
	return &surveys{
		askers: make(chan asker, waitingAskers), requests: make(chan surveyRequest), awaited: make(map[uint64]awaited),
	}
}

// surveyRequest is a request for a survey, with the hosts to ask and the channel for
// the result.
type surveyRequest struct {
	ctx    context.Context
	hosts  []member
	result chan<- mesh.Survey // capacity 1
}

// AnswerWith sets the function that returns this host's row for the questions
// of other hosts. Call it before Run. Several goroutines call the function at
// the same time. Its context ends when an answer would be too late.
func (n *Node) AnswerWith(row func(context.Context) mesh.Row) { n.surveys.row = row }

// Survey asks all live hosts for their rows, 256 hosts at a time. It returns
// the rows that arrive in time. A host has 2 s to answer, or to send a sign of
// progress, which gives it 2 s more. The whole survey takes 10 s; the sending
// of the last questions can extend it to 12 s.
//
// Only one survey runs at a time; another one waits. If a thousand hosts are
// all silent, the survey ends before it has asked them all. The result lists
// all hosts as asked.
func (n *Node) Survey(ctx context.Context) (mesh.Survey, error) {
	var hosts []member
	if err := n.ask(ctx, func() lease.Effects {
		for _, m := range n.members {
			hosts = append(hosts, m)
		}
		return lease.Effects{}
	}); err != nil {
		return mesh.Survey{}, err
	}
	result := make(chan mesh.Survey, 1)
	select {
	case n.surveys.requests <- surveyRequest{ctx, hosts, result}:
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

// surveyLoop runs the surveys, one after the other, until ctx ends.
func (n *Node) surveyLoop(ctx context.Context) error {
	for {
		select {
		case i := <-n.surveys.requests:
			i.result <- n.survey(ctx, i)
		case <-ctx.Done():
			return nil
		}
	}
}

// survey asks the hosts of one inquiry for their rows.
func (n *Node) survey(ctx context.Context, i surveyRequest) mesh.Survey {
	ctx, cancel := context.WithTimeout(ctx, surveyLimit)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)() // stop when the caller of Survey no longer waits
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

// question asks one host for its row and waits for the answer.
func (n *Node) question(ctx context.Context, m member) (mesh.Row, error) {
	q := question{From: n.self, Number: rand.Uint64N(1<<64-1) + 1, Patient: true}
	its := awaited{make(chan []byte, 1), make(chan struct{}, 1)}
	n.surveys.await(q.Number, its)
	defer n.surveys.forget(q.Number)
	n.sendReliably(m.id, m.underlay, encode(n.sign(packet{Mesh: n.View().Mesh, Ask: &q})))
	timeout := time.NewTimer(answerTimeout)
	defer timeout.Stop()
	for {
		select {
		case data := <-its.row:
			row, err := decodeRow(data)
			if err == nil && row.ID != m.id {
				err = fmt.Errorf("it answers as %s", row.ID)
			}
			return row, err
		case <-its.signs:
			timeout.Reset(answerTimeout)
		case <-timeout.C:
			return mesh.Row{}, fmt.Errorf("no answer and no sign of one for %s", answerTimeout)
		case <-ctx.Done():
			return mesh.Row{}, ctx.Err()
		}
	}
}

// await registers the channels for the question with this number.
func (s *surveys) await(number uint64, to awaited) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited[number] = to
}

// forget removes the question with this number.
func (s *surveys) forget(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.awaited, number)
}

// deliver passes an answer on. It drops an answer that no goroutine waits for,
// without decoding it. The goroutine that owns the state calls it.
func (s *surveys) deliver(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if to, ok := s.awaited[r.Number]; ok {
		to.row <- r.Row
		delete(s.awaited, r.Number)
	}
}

// sign passes a sign of progress on. The goroutine that owns the state calls
// it.
func (s *surveys) sign(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.awaited[number].signs <- struct{}{}:
	default: // no goroutine waits, or the previous sign was not read yet
	}
}

// queue queues a question of another host. The goroutine that owns the state
// calls it.
func (s *surveys) queue(q question, at netip.AddrPort) {
	if s.row == nil {
		return
	}
	select {
	case s.askers <- asker{q, at}:
	default: // the other host may ask again
	}
}

// reportLoop answers the questions of other hosts until ctx ends. Several
// goroutines run it.
func (n *Node) reportLoop(ctx context.Context) error {
	for {
		select {
		case a := <-n.surveys.askers:
			n.serveReport(ctx, a)
		case <-ctx.Done():
			return nil
		}
	}
}

// serveReport makes the row and sends it. This can take long while a pass runs
// or the machine is busy. Until the row is ready, serveReport sends a sign of
// progress every signEvery. The signs go by datagram, because another sign
// follows a lost one soon enough.
func (n *Node) serveReport(ctx context.Context, a asker) {
	limit := answerTimeout
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
			n.sendPacket(a.From, a.at, packet{Mesh: n.View().Mesh, InProgress: a.Number})
		}
	}
}
