package lease

import "slices"

// mostRecords is the largest number of records that any table keeps.
const mostRecords = 1 << 16

// ageStep is the largest gap between two successive ages that count for new
// leases. A table has at most mostRecords records. So all of them together
// raise the age of new leases by less than leap. Therefore every other host
// accepts the record of a new lease.
const ageStep = leap / mostRecords

// ages summarizes the ages in a table. An age counts if it is the lowest one,
// or if it is at most ageStep above another age that counts. A hostile member
// can send ages to a single host that no other host accepts. Those ages do not
// count.
type ages struct {
	lowest, greatest uint64 // of the ages that count; 0: there is none
	beyond           uint64 // the lowest age that does not count; 0: there is none
	stale            bool   // the next reader must count all ages again
}

// add takes the age of a merged record. An age that extends the sequence of
// counting ages costs constant time. After any other age, lastAge counts all
// ages again when it is called next.
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

// countAges returns the summary of the given ages. It sorts all in place.
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

// lastAge returns the greatest age that counts for the age of new leases. It
// returns 0 if no age counts.
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
