package config

import (
	"github.com/spf13/pflag"
)

// MeshFlags adds the flags for the keys that a host needs before it knows a
// mesh.
func MeshFlags(flags *pflag.FlagSet) {
	flags.Bool("bootstrap", false, "start a new mesh (mesh.bootstrap)")
	flags.StringSlice("join", nil, "`HOST[:PORT]` of the mesh to join; may be repeated (mesh.join)")
	flags.Bool("insecure", false, "gossip without a key (mesh.insecure)")
	flags.String("name", "", "`NAME` of this host in the mesh; default the host name (node.name)")
	flags.String("advertise", "", "underlay `ADDRESS`, network or interface of this host (node.advertise)")
	for flag, key := range map[string]string{
		"bootstrap": "mesh.bootstrap",
		"join":      "mesh.join",
		"insecure":  insecureKey,
		"name":      "node.name",
		"advertise": "node.advertise",
	} {
		// The error is always nil, because the flag was added above.
		_ = flags.SetAnnotation(flag, keyAnnotation, []string{key})
	}
}
