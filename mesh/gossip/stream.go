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

// encryptedMessage is the first byte of an encrypted memberlist message on a
// connection (encryptMsg in memberlist's net.go). The length of the rest
// follows in four bytes, big-endian.
const encryptedMessage = 10

// labelledMessage is the first byte of a memberlist message with a label
// (hasLabelMsg in memberlist's net.go). gremesh uses no labels.
const labelledMessage = 244

const streamHeader = 5 // bytes

var (
	errTooLarge  = errors.New("the message is larger than this address may send")
	errNoRoom    = errors.New("too many bytes are being read from other connections")
	errExhausted = errors.New("more bytes than the message may have")
	errLabelled  = errors.New("the message has a label")
)

// stream is a gossip connection from which memberlist reads. The first Read
// reads the length of the message. It rejects a length above the limit for the
// address, and waits until the bytes fit into the budget. Close returns the
// bytes to the budget.
type stream struct {
	net.Conn
	from     netip.Addr
	class    *admission
	keyed    bool // gossip is encrypted
	entered  bool // it counts as one of the connections of its class
	refused  func(error)
	deadline time.Time // for reading; zero: none

	begun  bool
	header []byte // bytes that were read but not yet passed on
	left   int64  // number of bytes that may still be read
	weight int64  // number of bytes taken from the budget
	failed error
	close  sync.Once
}

// SetDeadline implements net.Conn. The caller does not call it while Read runs.
func (s *stream) SetDeadline(t time.Time) error {
	s.deadline = t
	return s.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn. The caller does not call it while Read
// runs.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return s.Conn.SetReadDeadline(t)
}

// Read implements net.Conn. Only one goroutine may read at a time.
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

// begin reads the start of the message to learn its length. It then reserves
// bytes of the budget. It reserves at least streamShare, because the answer to
// a small message is the whole state.
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
	case header[0] != encryptedMessage: // memberlist rejects the message at the first byte
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

// reserve waits until weight bytes of the budget are free, and takes them. It
// waits at most until the read deadline, or for streamLimit if there is none.
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
