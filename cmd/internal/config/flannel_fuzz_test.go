package config

import (
	"strings"
	"testing"
)

// FuzzFlannel: whatever is in flanneld's file, the lease is a network, or an
// error says why there is none.
func FuzzFlannel(f *testing.F) {
	f.Add("FLANNEL_NETWORK=172.17.0.0/16\nFLANNEL_SUBNET=172.17.43.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n")
	f.Add("FLANNEL_SUBNET=\"${FLANNEL_SUBNET}\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		lease, err := parseFlannelLease(strings.NewReader(text))
		if err == nil && (!lease.IsValid() || lease != lease.Masked()) {
			t.Errorf("%q gives %s", text, lease)
		}
	})
}
