//go:build race

package gossip

// The race detector makes a hundred hosts slow. They run once more without it in
// `make test`.
const raceDetector = true
