//go:build race

package lease

// The race detector makes a thousand machines in one goroutine slow, and finds
// nothing there: `make test` runs them once more without it.
const raceDetector = true
