package gossip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestConnectionsAreLimitedInTotalAndForEachAddress(t *testing.T) {
	a := newAdmission(5, 2, 1, 1)
	at := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, i}) }
	for i, want := range []struct {
		at byte
		ok bool
	}{{1, true}, {1, true}, {1, false}, {2, true}, {2, true}, {3, true}, {4, false}} {
		if got := a.enter(at(want.at)); got != want.ok {
			t.Errorf("connection %d, of host %d: %t", i, want.at, got)
		}
	}
	a.leave(at(1))
	if !a.enter(at(4)) || a.enter(at(1)) {
		t.Error("a place is free for one")
	}
	for _, i := range []byte{1, 2, 2, 3, 4} {
		a.leave(at(i))
	}
	if a.sum != 0 || len(a.open) != 0 {
		t.Errorf("something is left: %+v", a.open)
	}
}

// announce is the beginning of an encrypted message of so many bytes.
func announce(size int) []byte {
	return binary.BigEndian.AppendUint32([]byte{encryptedMessage}, uint32(size))
}

func TestAStreamIsReadAsFarAsItsAddressMaySend(t *testing.T) {
	for name, c := range map[string]struct {
		keyed bool
		sends []byte
		reads int // bytes
		err   error
	}{
		"a small message":              {true, append(announce(3), "abcX"...), 8, errExhausted},
		"as much as it may":            {true, append(announce(100), make([]byte, 100)...), 105, errExhausted},
		"a byte more than it may":      {true, append(announce(101), make([]byte, 101)...), 0, errTooLarge},
		"20 MiB":                       {true, announce(20 << 20), 0, errTooLarge},
		"4 GiB":                        {true, announce(1<<32 - 1), 0, errTooLarge},
		"less than a length":           {true, announce(3)[:3], 0, io.ErrUnexpectedEOF},
		"nothing":                      {true, nil, 0, io.EOF},
		"a label":                      {true, []byte{labelledMessage, 3, 'a', 'b', 'c'}, 0, errLabelled},
		"plain text to a host's key":   {true, []byte("SSH-2.0"), 7, io.EOF},
		"plain text":                   {false, make([]byte, 200), 101, errExhausted},
		"plain text that begins as 10": {false, append(announce(1<<30), 1), 6, io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			class := newAdmission(1, 1, 100, streamShare)
			var wg sync.WaitGroup
			wg.Go(func() {
				_, _ = there.Write(c.sends)
				_ = there.Close()
			})
			s := &stream{Conn: here, class: class, keyed: c.keyed, refused: func(error) {}}
			got, err := io.ReadAll(s)
			if err == nil {
				err = io.EOF
			}
			if len(got) != c.reads || !errors.Is(err, c.err) {
				t.Errorf("%d bytes, %v, want %d, %v", len(got), err, c.reads, c.err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if !class.budget.TryAcquire(streamShare) {
				t.Error("the budget does not get its bytes back")
			}
		})
	}
}

func TestAStreamWaitsForTheBudgetUntilItsDeadline(t *testing.T) {
	class := newAdmission(9, 9, 1<<20, 1<<20)
	open := func() (*stream, net.Conn) {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = there.Close() })
		return &stream{Conn: here, class: class, keyed: true, refused: func(error) {}}, there
	}
	first, peer := open()
	go func() { _, _ = peer.Write(announce(1 << 20)) }()
	if _, err := io.ReadFull(first, make([]byte, streamHeader)); err != nil {
		t.Fatal(err)
	}
	second, peer := open()
	go func() { _, _ = peer.Write(announce(1)) }()
	if err := second.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, errNoRoom) {
		t.Errorf("it is read: %v", err)
	}
	third, peer := open()
	go func() { _, _ = peer.Write(announce(1)) }()
	read := make(chan error, 1)
	go func() {
		_, err := third.Read(make([]byte, 1))
		read <- err
	}()
	if err := errors.Join(second.Close(), first.Close(), first.Close()); err != nil {
		t.Log(err)
	}
	if err := <-read; err != nil {
		t.Errorf("it is not read when there is room: %v", err)
	}
	_ = third.Close()
	if !class.budget.TryAcquire(1 << 20) {
		t.Error("the budget does not get its bytes back")
	}
}

// A host of a mesh of a thousand sends its whole table when it comes back at
// another address.
func TestATableOfAThousandHostsFitsAStrangersMessage(t *testing.T) {
	records := testPackets()[1].Records
	if len(records) == 0 {
		t.Fatal("no record to measure")
	}
	one := len(encode(records[0]))
	if all := 1000 * one; all > strangerMessage {
		t.Errorf("1,000 records of %d bytes are %d bytes, and a stranger may send %d", one, all, strangerMessage)
	}
}

func TestAnUnknownAddressMaySendLittleAndAKnownOneMuch(t *testing.T) {
	known := netip.MustParseAddr("127.0.78.2")
	var mu sync.Mutex
	var why []error
	n, err := listen(networkConfig{
		at: netip.MustParseAddrPort("127.0.78.1:7946"), keyed: true, isKnown: func(a netip.Addr) bool { return a == known },
		limited: func(_ netip.Addr, err error) { mu.Lock(); defer mu.Unlock(); why = append(why, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		if err := n.Shutdown(); err != nil {
			t.Error(err)
		}
		serving.Wait()
	})
	got := make(chan int, 10)
	serving.Go(func() { // as memberlist does
		for {
			select {
			case conn := <-n.StreamCh():
				serving.Go(func() {
					_ = conn.SetDeadline(time.Now().Add(tcpTimeout))
					read, _ := io.Copy(io.Discard, conn)
					_ = conn.Close()
					got <- int(read)
				})
			case <-n.closed:
				return
			}
		}
	})
	const size = 1 << 20
	message := append(announce(size), bytes.Repeat([]byte{1}, size)...)
	for _, c := range []struct {
		from string
		want int
	}{{"127.0.78.2", len(message)}, {"127.0.78.3", 0}} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
		conn, err := dialer.DialContext(t.Context(), "tcp", n.at.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(message)
		_ = conn.Close()
		if read := <-got; read != c.want {
			t.Errorf("of %s %d bytes are read, want %d", c.from, read, c.want)
		}
	}
	// A fifth connection of one address is reset.
	for i := range strangerPerAddress + 1 {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.78.4")}}
		conn, err := dialer.DialContext(t.Context(), "tcp", n.at.String())
		if i == strangerPerAddress && errors.Is(err, syscall.ECONNRESET) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if i < strangerPerAddress {
			continue
		}
		_ = conn.SetReadDeadline(time.Now().Add(tcpTimeout / 2)) // before the others are given up
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || isTimeout(err) {
			t.Errorf("connection %d: %v", i+1, err)
		}
	}
	eventually(t, "both limits are told", func() bool { mu.Lock(); defer mu.Unlock(); return len(why) == 2 })
	mu.Lock()
	defer mu.Unlock()
	if len(why) != 2 || !errors.Is(why[0], errTooLarge) || !errors.Is(why[1], errTooMany) {
		t.Errorf("it says %v", why)
	}
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
