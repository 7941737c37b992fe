package bridge

import (
	"strings"
	"testing"
)

// br0 is what many hosts call a bridge of their own, for virtual machines.
func TestADeviceOfTheSwitchsNameThatIsNotOpenVSwitchsIsLeftAlone(t *testing.T) {
	for name, made := range map[string]string{
		"a bridge": "ip link add br0 type bridge",
		"a NIC":    "ip link add br0 type veth peer name wire",
	} {
		t.Run(name, func(t *testing.T) {
			k := namespace(t)
			sh(t, made+"; ip link set br0 up mtu 1500")
			if err := k.Apply(t.Context(), diff(t, k, want)); err != nil {
				t.Error(err)
			}
			if is := sh(t, "ip -o link show br0"); !strings.Contains(is, "mtu 1500") || strings.Contains(is, "master") {
				t.Errorf("it is another's, and was changed: %s", is)
			}
			have, err := k.Observe(t.Context())
			if err != nil || have.OVSPort.Exists || have.ForeignKind == "" {
				t.Errorf("got %+v, %v", have.OVSPort, err)
			}
		})
	}
}
