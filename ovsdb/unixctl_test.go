package ovsdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// older is the control socket of an ovs-vswitchd without static entries. It
// counts what it is asked.
func older(t *testing.T) (db string, asked func() int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gmct-") // a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(dir, "ovs-vswitchd.pid"), []byte("77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "ovs-vswitchd.77.ctl"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var serving sync.WaitGroup
	n := 0
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			requests := json.NewDecoder(conn)
			for {
				var request struct {
					ID     int      `json:"id"`
					Method string   `json:"method"`
					Params []string `json:"params"`
				}
				if requests.Decode(&request) != nil {
					break
				}
				mu.Lock()
				n++
				mu.Unlock()
				answer := map[string]any{"id": request.ID, "error": nil}
				switch request.Method {
				case "fdb/show":
					answer["result"] = " port  VLAN  MAC                Age\n    1     0  02:42:ac:11:2b:01    7\n"
				case "list-commands":
					answer["result"] = "The available commands are:\n  fdb/flush   [bridge]\n  fdb/show   bridge\n"
				default:
					answer["error"] = fmt.Sprintf("%q is not a valid command (use \"list-commands\" to see a list of valid commands)\n", request.Method)
				}
				_ = json.NewEncoder(conn).Encode(answer)
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return "unix:" + filepath.Join(dir, "db.sock"), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestAnOlderVswitchdLearnsAndIsNotAskedAgain(t *testing.T) {
	db, asked := older(t)
	var known table
	made := Bridge{Name: "br0", Exists: true, OfPort: localPort}
	if err := known.read(t.Context(), db, Bridge{Name: "br0"}); err != nil || known.static == nil || asked() != 0 {
		t.Errorf("before there is a bridge: %v, %v, asked %d times", err, known.static, asked())
	}
	for range 3 {
		known.doubt.Store(true)
		if err := known.read(t.Context(), db, made); !errors.Is(err, errUnable) {
			t.Errorf("read: %v", err)
		}
	}
	if n := asked(); n != 2 { // for the table, and for its commands
		t.Errorf("asked %d times", n)
	}
	runs, err := vswitchd(db)
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := dialControl(t.Context(), db, runs)
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.close()
	many := make([][]string, 3*controlBatch+1)
	answers, err := ctl.calls(t.Context(), "fdb/add", many)
	if err != nil || len(answers) != len(many) || !errors.Is(answers[0].err, errUnknown) || strings.HasSuffix(answers[0].err.Error(), "\n") {
		t.Errorf("%d answers, %v", len(answers), err)
	}
}

func TestOnlyASocketInTheFileSystemHasAVswitchdBeside(t *testing.T) {
	var known table
	if err := known.read(t.Context(), "tcp:127.0.0.1:6640", Bridge{}); !errors.Is(err, errNotLocal) {
		t.Errorf("%v", err)
	}
}
