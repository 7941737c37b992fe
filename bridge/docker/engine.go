package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// engine is a client of the daemon that answers Docker's API at a unix socket.
// It is the only part of gremesh that uses that API
// (https://docs.docker.com/reference/api/engine/). Its requests name no API
// version, so the daemon answers with its own.
type engine struct {
	socket string // absolute path
	http   *http.Client
}

const (
	// answerTime is the longest time that a daemon may take for one answer.
	// dockerd accepts connections long before it answers. A longer wait would
	// delay the pass.
	answerTime = time.Second
	// largestAnswer is the largest part of an answer that is read, in bytes.
	// The list of all networks with 1,000 containers has about 0.3 MB.
	largestAnswer = 8 << 20
)

// errNoEngine means that no process listens at the socket.
var errNoEngine = errors.New("no daemon listens")

// errNotFound means that the daemon has no such object.
var errNotFound = errors.New("not found")

// newEngine returns an engine and connects to nothing. The socket is a path,
// with or without "unix://".
func newEngine(socket string) *engine {
	e := &engine{socket: strings.TrimPrefix(socket, "unix://")}
	e.http = &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) },
		DisableKeepAlives: true, // dockerd may be restarted between two passes
	}}
	return e
}

// dial connects to the socket if the process that listens there belongs to root
// or to our own user. It refuses another user's daemon, such as a rootless
// Docker. It returns errNoEngine if no process listens.
func (e *engine) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", e.socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%w at %s", errNoEngine, e.socket)
	}
	if err != nil {
		return nil, err
	}
	listener, err := peer(conn.(*net.UnixConn))
	if err == nil && listener.Uid != 0 && int(listener.Uid) != os.Geteuid() {
		err = fmt.Errorf("user %d listens at %s, and not root", listener.Uid, e.socket)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// peer returns the process at the other end of a connection. This is the
// process that called listen(2). If systemd activates the daemon by its socket,
// this is systemd (unix(7), SO_PEERCRED).
func peer(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return nil, err
	}
	return cred, optErr
}

// listener returns the ID of the process that listens at the socket. It returns
// 0 if that process is not visible in our pid namespace.
func (e *engine) listener(ctx context.Context) (pid int, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	conn, err := e.dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	cred, err := peer(conn.(*net.UnixConn))
	if err != nil {
		return 0, err
	}
	return int(cred.Pid), nil
}

// get requests a path such as "/version" and decodes the JSON answer.
func (e *engine) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	response, err := e.open(ctx, path)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if err := json.NewDecoder(io.LimitReader(response.Body, largestAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read Docker's answer to GET %s: %w", path, err)
	}
	return nil
}

// open requests a path and returns an answer of status 200. The caller must
// close its body. open returns errNotFound for status 404.
func (e *engine) open(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := e.http.Do(request)
	if err != nil {
		// Unwrap removes the URL with its made-up host.
		return nil, fmt.Errorf("ask Docker: GET %s: %w", path, errors.Unwrap(err))
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("ask Docker: GET %s: %w", path, errNotFound)
	}
	return nil, fmt.Errorf("ask Docker: GET %s: %s", path, response.Status)
}
