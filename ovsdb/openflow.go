package ovsdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

// This file implements the part of OpenFlow 1.0 (ONF TS-001) that reads and
// sets port flags; flowmod.go changes flows. ovs-vswitchd
// accepts OpenFlow on the socket BRIDGE.mgmt next to its control socket.
// ovs-ofctl(8) uses the same socket.
const (
	ofVersion = 1

	ofHello        = 0
	ofError        = 1
	ofEchoRequest  = 2
	ofEchoReply    = 3
	ofVendor       = 4
	ofPortMod      = 15
	ofStatsRequest = 16
	ofStatsReply   = 17
	ofBarrier      = 18
	ofBarrierReply = 19

	ofStatsPortDesc = 13 // Open vSwitch supports it in OpenFlow 1.0 too
	ofStatsMore     = 1  // flag: more replies follow

	ofPortSize   = 48
	ofPortNormal = 0xfffa
	ofPortNone   = 0xffff
	ofPortLocal  = 0xfffe
)

// PortFlags are the OpenFlow flags of a port that stop packets (ovs-ofctl(8),
// mod-port).
type PortFlags uint32

// Flags of a port.
const (
	portDown      PortFlags = 1 << 0
	portNoReceive PortFlags = 1 << 2
	portNoFlood   PortFlags = 1 << 4
	portNoForward PortFlags = 1 << 5

	blockingFlags = portDown | portNoReceive | portNoFlood | portNoForward
)

// ofPort is a port as OpenFlow describes it.
type ofPort struct {
	number uint16
	mac    [6]byte
	name   string
	config PortFlags // all flags, not only those that stop packets
}

// openflow is a connection to a bridge's OpenFlow socket.
type openflow struct {
	conn net.Conn
	xid  uint32
}

// dialOpenFlow connects and exchanges hello messages. All requests until the next
// renew together may take at most controlPatience.
func dialOpenFlow(ctx context.Context, db, bridge string) (*openflow, error) {
	path, err := pidfile(db)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: controlPatience}
	conn, err := dialer.DialContext(ctx, "unix", filepath.Join(filepath.Dir(path), bridge+".mgmt"))
	if err != nil {
		return nil, fmt.Errorf("connect to the OpenFlow socket of %s: %w", bridge, err)
	}
	o := &openflow{conn: conn}
	if err = o.renew(); err == nil {
		err = o.send(ofHello, nil)
	}
	var hello []byte
	if err == nil {
		hello, err = o.receive(ofHello)
	}
	if err == nil && !speaksVersion(hello) {
		err = errVersion
	}
	if err != nil {
		o.close()
		return nil, fmt.Errorf("greet the OpenFlow socket of %s: %w", bridge, err)
	}
	return o, nil
}

// errVersion is the error if the bridge's protocols column excludes OpenFlow
// 1.0.
var errVersion = errors.New("the bridge does not accept OpenFlow10")

// speaksVersion reports whether the body of a hello accepts OpenFlow 1.0
// (OpenFlow 1.3.1, section 7.5.1). A hello without a version bitmap accepts it.
func speaksVersion(hello []byte) bool {
	const versionBitmap = 1
	if len(hello) < 8 || binary.BigEndian.Uint16(hello) != versionBitmap {
		return true
	}
	return binary.BigEndian.Uint32(hello[4:])&(1<<ofVersion) != 0
}

func (o *openflow) close() { _ = o.conn.Close() }

// renew gives the next requests controlPatience again.
func (o *openflow) renew() error { return o.conn.SetDeadline(time.Now().Add(controlPatience)) }

func (o *openflow) send(kind uint8, body []byte) error {
	o.xid++
	return o.write(kind, o.xid, body)
}

func (o *openflow) write(kind uint8, xid uint32, body []byte) error {
	message := binary.BigEndian.AppendUint16([]byte{ofVersion, kind}, uint16(8+len(body)))
	message = append(binary.BigEndian.AppendUint32(message, xid), body...)
	_, err := o.conn.Write(message)
	return err
}

// receive returns the body of the next message of type kind. It answers echo
// requests, returns an OpenFlow error as error, and skips other messages.
func (o *openflow) receive(kind uint8) ([]byte, error) {
	for {
		var head [8]byte
		if _, err := io.ReadFull(o.conn, head[:]); err != nil {
			return nil, err
		}
		length := int(binary.BigEndian.Uint16(head[2:]))
		if length < len(head) {
			return nil, errors.New("an OpenFlow message is too short")
		}
		body := make([]byte, length-len(head))
		if _, err := io.ReadFull(o.conn, body); err != nil {
			return nil, err
		}
		switch head[1] {
		case kind:
			return body, nil
		case ofEchoRequest:
			if err := o.write(ofEchoReply, binary.BigEndian.Uint32(head[4:]), body); err != nil {
				return nil, err
			}
		case ofError:
			return nil, ofErrorOf(body)
		}
	}
}

// openflowError is ovs-vswitchd's answer to a message that it refuses.
type openflowError struct{ kind, code uint16 }

func (e openflowError) Error() string {
	return fmt.Sprintf("OpenFlow error type %d, code %d", e.kind, e.code)
}

func ofErrorOf(body []byte) error {
	if len(body) < 4 {
		return openflowError{}
	}
	return openflowError{binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])}
}

// ports returns all ports of the bridge.
func (o *openflow) ports() ([]ofPort, error) {
	if err := o.send(ofStatsRequest, binary.BigEndian.AppendUint32(nil, ofStatsPortDesc<<16)); err != nil {
		return nil, err
	}
	var all []ofPort
	for {
		body, err := o.receive(ofStatsReply)
		if err != nil {
			return nil, err
		}
		if len(body) < 4 {
			return nil, errors.New("an OpenFlow message is too short")
		}
		all = append(all, parsePorts(body[4:])...)
		if binary.BigEndian.Uint16(body[2:])&ofStatsMore == 0 {
			return all, nil
		}
	}
}

func parsePorts(body []byte) (all []ofPort) {
	for ; len(body) >= ofPortSize; body = body[ofPortSize:] {
		name, _, _ := bytes.Cut(body[8:24], []byte{0})
		all = append(all, ofPort{
			number: binary.BigEndian.Uint16(body), mac: [6]byte(body[2:8]), name: string(name),
			config: PortFlags(binary.BigEndian.Uint32(body[24:])),
		})
	}
	return all
}

// clear removes flags from a port.
func (o *openflow) clear(p ofPort, flags PortFlags) error {
	body := binary.BigEndian.AppendUint16(nil, p.number)
	body = append(body, p.mac[:]...)
	body = binary.BigEndian.AppendUint32(body, 0)
	body = binary.BigEndian.AppendUint32(body, uint32(flags))
	return o.send(ofPortMod, append(body, make([]byte, 8)...))
}

// barrier waits until the bridge has processed all messages sent before it. It
// returns the first error that the bridge reported.
func (o *openflow) barrier() error {
	if err := o.send(ofBarrier, nil); err != nil {
		return err
	}
	_, err := o.receive(ofBarrierReply)
	return err
}
