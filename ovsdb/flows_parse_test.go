package ovsdb

import (
	"slices"
	"testing"
)

func TestFlowsAreReadFromTheDump(t *testing.T) {
	const hidden = "table_id=254, duration=0s, n_packets=0, n_bytes=0, priority=0,reg0=0x1,actions=controller(reason=)\n" +
		"duration=1s, n_packets=0, n_bytes=0, priority=180008,tcp,nw_src=127.0.0.1,tp_src=6653,actions=NORMAL\n"
	for _, tt := range []struct {
		name, text string
		normal     bool
		others     []string
		count      int
	}{
		{"a new bridge", "duration=0s, n_packets=0, n_bytes=0, priority=0,actions=NORMAL\n" + hidden, true, nil, 0},
		{"no flow", hidden, false, nil, 0},
		{"nothing", "", false, nil, 0},
		{"another priority", "duration=0s, n_packets=0, n_bytes=0, priority=7,actions=NORMAL\n", true, nil, 0},
		{"ovs-ofctl's default priority", "duration=0s, n_packets=0, n_bytes=0, ,actions=NORMAL\n", true, nil, 0},
		{"drop with the default priority", "duration=0s, n_packets=0, n_bytes=0, ip,actions=drop\n", false, []string{"priority=32768,ip,actions=drop"}, 1},
		{"NORMAL for some packets", "duration=0s, n_packets=0, n_bytes=0, priority=7,ip,actions=NORMAL\n", false, nil, 0},
		{
			"a flow that drops", "duration=9s, n_packets=0, n_bytes=0, priority=7,in_port=1,actions=drop\n" +
				"duration=9s, idle_timeout=3, n_packets=5, n_bytes=500, priority=0,actions=NORMAL\n",
			true, []string{"priority=7,in_port=1,actions=drop"}, 1,
		},
		{
			"more than are shown", "duration=9s, n_packets=0, n_bytes=0, priority=7,in_port=1,actions=drop\nduration=9s, n_packets=0, n_bytes=0, priority=7,in_port=2,actions=drop\n" +
				"duration=9s, n_packets=0, n_bytes=0, priority=7,in_port=4,actions=drop\nduration=9s, n_packets=0, n_bytes=0, priority=7,in_port=3,actions=drop\n",
			false, []string{"priority=7,in_port=1,actions=drop", "priority=7,in_port=2,actions=drop", "priority=7,in_port=3,actions=drop"}, 4,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parseFlows(tt.text)
			if f.Normal != tt.normal || !slices.Equal(f.Others, tt.others) || f.Count != tt.count {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestFlagsAreNamedAsOvsOfctlDoes(t *testing.T) {
	f := portDown | portNoReceive | portNoForward | portNoFlood
	if got := f.String(); got != "down no-receive no-forward no-flood" {
		t.Error(got)
	}
	if got := f.actions(""); !slices.Equal(got, []string{"up", "receive", "forward", "flood"}) {
		t.Error(got)
	}
}

func TestPortsAreReadFromADescription(t *testing.T) {
	b := make([]byte, 2*ofPortSize+7)
	copy(b[8:], "gre43")
	b[1], b[27] = 3, byte(portNoReceive)
	copy(b[ofPortSize+8:], "sixteen-bytes-ab")
	got := parsePorts(b)
	if len(got) != 2 || got[0] != (ofPort{number: 3, name: "gre43", config: portNoReceive}) || got[1].name != "sixteen-bytes-ab" {
		t.Errorf("got %+v", got)
	}
}

func FuzzFlows(f *testing.F) {
	f.Add("duration=0s, n_packets=0, n_bytes=0, priority=26482,tun_src=10.0.0.2,dl_src=02:42:ac:11:02:01,actions=NORMAL\n")
	f.Add("duration=0s, n_packets=0, n_bytes=0, priority=26481,dl_src=02:42:ac:11:02:01,actions=drop\n priority=0,actions=NORMAL")
	f.Add("n_bytes=0, priority=26482,tun_ipv6_src=fd00::2,dl_src=02:42:ac:11:03:01,actions=NORMAL\n")
	f.Fuzz(func(t *testing.T, text string) {
		flows := parseFlows(text)
		if len(flows.Others) > maxFlows || flows.Count < len(flows.Others) {
			t.Errorf("%d of %d others", len(flows.Others), flows.Count)
		}
		for b := range flows.Bindings {
			again, ok := parseBinding(b.match() + ",actions=" + b.action())
			if !ok || again != b {
				t.Errorf("%+v is written as %s, and read as %+v", b, b.match(), again)
			}
		}
	})
}
