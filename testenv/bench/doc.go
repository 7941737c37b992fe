// Package bench measures gremesh beside what people would use instead, in one
// run and in turns, and makes a report of it: JSON with every sample, and a page
// with medians, spreads, ratios and plots.
//
// What is measured returns Series; only the report computes.
package bench
