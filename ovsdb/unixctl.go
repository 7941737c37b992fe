package ovsdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// control is a connection to ovs-vswitchd's control socket, which ovs-appctl(8)
// also uses. The protocol is JSON-RPC 1.0: a command is a method, and its
// arguments are strings.
type control struct {
	conn    net.Conn
	answers *json.Decoder
}

// refusedError is ovs-vswitchd's answer to a command that failed.
type refusedError string

func (e refusedError) Error() string { return strings.TrimSpace(string(e)) }

// Is reports errUnknown for a command that ovs-vswitchd does not have.
// ovs-vswitchd has no error code for this, so Is searches the text.
func (e refusedError) Is(other error) bool {
	return other == errUnknown && strings.Contains(string(e), "is not a valid command")
}

var errUnknown = errors.New("ovs-vswitchd does not have the command")

const (
	controlPatience = time.Second // for ovs-vswitchd to accept a connection and to answer a batch
	controlBatch    = 100         // number of commands that are sent before an answer is read

	// ovs-vswitchd runs 10 commands of each connection and then checks all its
	// ports again. That check takes longer the more ports exist.
	controlRound       = 10
	controlConnections = 32
)

var errNotLocal = errors.New("ovs.db is no unix socket, and the control socket of ovs-vswitchd is looked for beside it")

// pidfile returns the path of ovs-vswitchd's pid file. Like the control socket,
// it is in the directory of ovsdb-server's socket.
func pidfile(db string) (string, error) {
	path, local := strings.CutPrefix(db, "unix:")
	if !local {
		return "", errNotLocal
	}
	return filepath.Join(filepath.Dir(path), "ovs-vswitchd.pid"), nil
}

// process identifies one run of ovs-vswitchd. The pid alone is not enough: in a
// container, each new ovs-vswitchd may get the same pid.
type process struct {
	pid     string
	started int64 // modification time of its pid file, Unix time in nanoseconds
}

// vswitchd returns the ovs-vswitchd that started last. It may have ended.
func vswitchd(db string) (process, error) {
	path, err := pidfile(db)
	if err != nil {
		return process{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return process{}, err
	}
	pid, err := os.ReadFile(path)
	return process{strings.TrimSpace(string(pid)), info.ModTime().UnixNano()}, err
}

func dialControl(ctx context.Context, db string, of process) (*control, error) {
	path, err := pidfile(db)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: controlPatience}
	conn, err := dialer.DialContext(ctx, "unix", fmt.Sprintf("%s.%s.ctl", strings.TrimSuffix(path, ".pid"), of.pid))
	if err != nil {
		return nil, fmt.Errorf("ask ovs-vswitchd: %w", err)
	}
	return &control{conn, json.NewDecoder(conn)}, nil
}

// vswitchdRuns reports whether an ovs-vswitchd accepts connections. It is true
// even if ovs-vswitchd is stopped or too busy to answer. It is false if the
// socket cannot be found.
func vswitchdRuns(ctx context.Context, db string) bool {
	runs, err := vswitchd(db)
	if err != nil {
		return false
	}
	ctl, err := dialControl(ctx, db, runs)
	if err != nil {
		return false
	}
	ctl.close()
	return true
}

func (c *control) close() { _ = c.conn.Close() }

// call runs one command.
func (c *control) call(ctx context.Context, method string, args ...string) (string, error) {
	answers, err := c.calls(ctx, method, [][]string{append([]string{}, args...)}) // an empty list, because ovs-vswitchd does not accept null
	if err != nil {
		return "", err
	}
	return answers[0].text, answers[0].err
}

type answer struct {
	text string
	err  error // a refusedError
}

// calls runs one command with several argument lists, in order.
func (c *control) calls(ctx context.Context, method string, args [][]string) ([]answer, error) {
	all := make([]answer, 0, len(args))
	for len(all) < len(args) {
		batch := args[len(all):min(len(all)+controlBatch, len(args))]
		if err := c.send(ctx, method, batch); err != nil {
			return nil, fmt.Errorf("ask ovs-vswitchd for %s: %w", method, err)
		}
		for range batch {
			var a struct {
				Result string  `json:"result"`
				Error  *string `json:"error"`
			}
			if err := c.answers.Decode(&a); err != nil {
				return nil, fmt.Errorf("ovs-vswitchd answers %s: %w", method, err)
			}
			if a.Error != nil {
				all = append(all, answer{err: refusedError(*a.Error)})
			} else {
				all = append(all, answer{text: a.Result})
			}
		}
	}
	return all, nil
}

// callParallel runs one command with many argument lists, in any order. It uses
// several connections in parallel, because ovs-vswitchd runs only controlRound
// commands of each connection at a time.
func callParallel(ctx context.Context, db string, runs process, method string, args [][]string) ([]answer, error) {
	all := make([]answer, len(args))
	each := max(controlRound, (len(args)+controlConnections-1)/controlConnections)
	var group errgroup.Group
	for from := 0; from < len(args); from += each {
		part := args[from:min(from+each, len(args))]
		group.Go(func() error {
			ctl, err := dialControl(ctx, db, runs)
			if err != nil {
				return err
			}
			defer ctl.close()
			answers, err := ctl.calls(ctx, method, part)
			copy(all[from:], answers)
			return err
		})
	}
	return all, group.Wait()
}

func (c *control) send(ctx context.Context, method string, batch [][]string) error {
	deadline := time.Now().Add(controlPatience)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(deadline) {
		deadline = sooner
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	var requests []byte
	for i, params := range batch {
		request, err := json.Marshal(map[string]any{"id": i, "method": method, "params": params})
		if err != nil {
			return err
		}
		requests = append(requests, request...)
	}
	_, err := c.conn.Write(requests)
	return err
}
