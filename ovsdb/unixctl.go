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
// uses: JSON-RPC 1.0, each command a method and its arguments strings.
type control struct {
	conn    net.Conn
	answers *json.Decoder
}

// refusedError is what ovs-vswitchd says to a command that it could not do.
type refusedError string

func (e refusedError) Error() string { return strings.TrimSpace(string(e)) }

// Is tells a command that ovs-vswitchd does not have, as it says in words only.
func (e refusedError) Is(other error) bool {
	return other == errUnknown && strings.Contains(string(e), "is not a valid command")
}

var errUnknown = errors.New("ovs-vswitchd does not have the command")

const (
	controlPatience = time.Second // for ovs-vswitchd to take a connection and to answer a batch
	controlBatch    = 100         // commands that are sent before an answer is read

	// ovs-vswitchd does 10 commands of each connection before it looks at all its
	// ports again, which takes the longer the more there are.
	controlRound       = 10
	controlConnections = 32
)

var errNotLocal = errors.New("ovs.db is no unix socket, and the control socket of ovs-vswitchd is looked for beside it")

// pidfile is where ovs-vswitchd keeps its process number: in the folder of
// ovsdb-server's socket, as its control socket is.
func pidfile(db string) (string, error) {
	path, local := strings.CutPrefix(db, "unix:")
	if !local {
		return "", errNotLocal
	}
	return filepath.Join(filepath.Dir(path), "ovs-vswitchd.pid"), nil
}

// process is an ovs-vswitchd. In a container all that are started one after the
// other may have one number.
type process struct {
	pid     string
	started int64 // when it wrote its pidfile, Unix time in nanoseconds
}

// vswitchd is the ovs-vswitchd that was started last, running or not.
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

// vswitchdRuns tells whether an ovs-vswitchd takes connections, be it that it is
// too busy to answer, or stopped. Where its socket can't be found, it is none.
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
	answers, err := c.calls(ctx, method, [][]string{append([]string{}, args...)}) // null is no list
	if err != nil {
		return "", err
	}
	return answers[0].text, answers[0].err
}

type answer struct {
	text string
	err  error // a refusedError
}

// calls runs one command with many arguments in turn.
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

// spread runs one command with many arguments, in no order, on as many
// connections as save time.
func spread(ctx context.Context, db string, runs process, method string, args [][]string) ([]answer, error) {
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
