package lease

import "slices"

// mostRecords is the greatest number of records that any table keeps.
const mostRecords = 1 << 16

// ageStep is how far one age may lie beyond the next lower one and still count
// for the age of new leases. All records of a table together raise that age by
// less than leap, so that every other host takes the new lease's record.
const ageStep = leap / mostRecords

// ages is what a table knows of the order of leases. An age counts when it is
// the lowest of all, or at most ageStep beyond another one that counts. A member
// can send a single host ages that no other host takes: they do not count.
type ages struct {
	lowest, greatest uint64 // of the ages that count; 0: none
	beyond           uint64 // the lowest of those that do not; 0: none
	stale            bool   // must be counted again
}

// add takes the age of a record that was merged. It costs nothing for an age
// that continues the order; any other has all ages counted when they are needed.
func (a *ages) add(age uint64) {
	switch {
	case age == 0 || a.stale:
	case a.greatest == 0 || age < a.lowest:
		a.stale = true
	case age > a.greatest+ageStep:
		if a.beyond == 0 || age < a.beyond {
			a.beyond = age
		}
	case age > a.greatest:
		a.greatest = age
		a.stale = a.beyond != 0 && a.beyond <= age+ageStep
	}
}

// countAges returns the ages that count among all.
func countAges(all []uint64) (a ages) {
	slices.Sort(all)
	for _, age := range all {
		switch {
		case age == 0:
		case a.greatest == 0:
			a.lowest, a.greatest = age, age
		case age > a.greatest+ageStep:
			a.beyond = age
			return a
		default:
			a.greatest = age
		}
	}
	return a
}

// lastAge returns the greatest age that counts for the age of new leases; 0 if
// there is none.
func (t *Table) lastAge() uint64 {
	if t.ages.stale {
		all := make([]uint64, 0, len(t.records))
		for _, r := range t.records {
			all = append(all, r.Age)
		}
		t.ages = countAges(all)
	}
	return t.ages.greatest
}
