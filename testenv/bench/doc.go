// Package bench measures gremesh and its alternatives in the same run, in
// turns. It writes a report: JSON with every sample, and a page with medians,
// spreads, ratios and plots.
//
// The code that measures returns Series. Only the report computes medians and
// ratios.
package bench
