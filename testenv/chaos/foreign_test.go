package chaos

import (
	"context"
	"errors"

	"github.com/gremesh/gremesh/testenv"
)

// foreign is what others have on every host, next to what is ours: a port, a
// key of our bridge, of the database and of daemon.json, a device, a route.
const (
	plantForeign = `
ovs-vsctl --may-exist add-port br0 guest0 -- set interface guest0 type=internal \
	-- set port guest0 external_ids:owner=chaos -- set bridge br0 external_ids:owner=chaos \
	-- set open_vswitch . external_ids:owner=chaos
ip link show guest1 >/dev/null 2>&1 || ip link add guest1 type veth peer name guest2
ip link set guest1 up master docker0
ip link set guest2 up
ip route replace 198.51.100.0/24 dev guest2 proto static`
	showForeign = `
ovs-vsctl get port guest0 external_ids -- get bridge br0 external_ids:owner -- get open_vswitch . external_ids:owner
ip -o link show guest1 | grep -o 'master docker0'
ip route show 198.51.100.0/24
grep -o '"owner=chaos"' "$0"`
)

// foreignKeys is a daemon.json of others. Docker starts with it.
const foreignKeys = "{\n  \"labels\": [\"owner=chaos\"]\n}\n"

// plant puts what is of others where it is missing.
func plant(ctx context.Context, h *testenv.Host) error {
	_, err := h.Exec(ctx, "sh", "-ec", plantForeign)
	return err
}

// guests is what others have on a host, as a text.
func guests(ctx context.Context, h *testenv.Host) (string, error) {
	return h.Exec(ctx, "sh", "-c", showForeign, h.DaemonJSON())
}

var errTouched = errors.New("what others have was touched")
