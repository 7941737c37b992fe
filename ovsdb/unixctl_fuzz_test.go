package ovsdb

import (
	"encoding/json"
	"net"
	"sync"
	"testing"
	"time"
)

// FuzzControl: whatever ovs-vswitchd's control socket says, there is an answer
// to each command, or an error, and no wait for more.
func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"id":0,"result":"one","error":null}{"id":1,"result":null,"error":"\"bfd/show\" is not a valid command"}`))
	f.Add([]byte(`{"result":"one"} {"result":`))
	f.Add([]byte(`[[[[[[[[`))
	f.Fuzz(func(t *testing.T, said []byte) {
		here, there := net.Pipe()
		var other sync.WaitGroup
		other.Go(func() {
			// As ovs-vswitchd does, it reads what it is asked; then it goes away.
			_, _ = there.Read(make([]byte, 1<<16))
			_, _ = there.Write(said)
			_ = there.Close()
		})
		c := &control{here, json.NewDecoder(here)}
		began := time.Now()
		answers, err := c.calls(t.Context(), "bfd/show", [][]string{{"gre1"}, {"gre2"}})
		if err == nil && len(answers) != 2 || err != nil && answers != nil {
			t.Errorf("%d answers, %v", len(answers), err)
		}
		if took := time.Since(began); took > 5*controlPatience {
			t.Errorf("it takes %s", took)
		}
		_ = here.Close()
		other.Wait()
	})
}
