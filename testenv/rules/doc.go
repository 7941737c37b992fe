// Package rules checks rules of the repository that no linter knows: which
// package may import which, also indirectly, and the size of files. It has only
// tests.
package rules
