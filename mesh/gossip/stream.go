package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// encryptedMessage is memberlist's first byte of an encrypted message on a
// connection (encryptMsg in its net.go). The length of the rest follows: four
// bytes, big-endian.
const encryptedMessage = 10

// labelledMessage is memberlist's first byte of a message with a label
// (hasLabelMsg in its net.go). gremesh uses no labels.
const labelledMessage = 244

const streamHeader = 5 // bytes

var (
	errTooLarge  = errors.New("the message is larger than this address may send")
	errNoRoom    = errors.New("too many bytes are being read from other connections")
	errExhausted = errors.New("more bytes than the message may have")
	errLabelled  = errors.New("the message has a label")
)

// stream is a gossip connection that memberlist reads from. The first Read
// takes the message's length off the wire, refuses a length above the limit of
// the address, and waits until the bytes fit the budget. Close returns them.
type stream struct {
	net.Conn
	from     netip.Addr
	class    *admission
	keyed    bool // gossip is encrypted
	entered  bool // counts as one of its class's connections
	refused  func(error)
	deadline time.Time // of reading; zero: none

	begun  bool
	header []byte // read, and not yet handed on
	left   int64  // bytes that may still be read
	weight int64  // bytes of the budget
	failed error
	close  sync.Once
}

// SetDeadline implements net.Conn. It is not called while Read runs.
func (s *stream) SetDeadline(t time.Time) error {
	s.deadline = t
	return s.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn. It is not called while Read runs.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return s.Conn.SetReadDeadline(t)
}

// Read implements net.Conn. Only one goroutine reads at a time.
func (s *stream) Read(b []byte) (int, error) {
	if !s.begun {
		s.begun = true
		s.failed = s.begin()
	}
	if s.failed != nil {
		return 0, s.failed
	}
	if len(s.header) > 0 {
		n := copy(b, s.header)
		s.header = s.header[n:]
		return n, nil
	}
	if s.left <= 0 {
		return 0, errExhausted
	}
	n, err := s.Conn.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	return n, err
}

// begin reads as much of the message as tells its length, and takes its share
// of the budget.
func (s *stream) begin() error {
	header := make([]byte, streamHeader)
	if _, err := io.ReadFull(s.Conn, header[:1]); err != nil {
		return err
	}
	s.header, s.left = header[:1], s.class.message
	switch {
	case header[0] == labelledMessage:
		return errLabelled
	case !s.keyed:
	case header[0] != encryptedMessage: // memberlist refuses it at the first byte
		s.left = streamShare
	default:
		if _, err := io.ReadFull(s.Conn, header[1:]); err != nil {
			return err
		}
		s.header, s.left = header, int64(binary.BigEndian.Uint32(header[1:]))
		if s.left > s.class.message {
			err := fmt.Errorf("%w: %d bytes, at most %d", errTooLarge, s.left, s.class.message)
			s.refused(err)
			return err
		}
	}
	return s.reserve(max(s.left, streamShare))
}

func (s *stream) reserve(weight int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), streamLimit)
	if !s.deadline.IsZero() {
		cancel()
		ctx, cancel = context.WithDeadline(context.Background(), s.deadline)
	}
	defer cancel()
	if s.class.budget.Acquire(ctx, weight) != nil {
		s.refused(errNoRoom)
		return errNoRoom
	}
	s.weight = weight
	return nil
}

// Close implements net.Conn. memberlist calls it in the goroutine that reads.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.close.Do(func() {
		s.class.budget.Release(s.weight)
		if s.entered {
			s.class.leave(s.from)
		}
	})
	return err
}
