// Package examples holds the files that an operator starts from. The binary
// carries the configuration, for `gremesh config example`.
package examples

import _ "embed"

// Configuration is gremesh.yaml: every key with its default and its meaning.
//
//go:embed gremesh.yaml
var Configuration string
