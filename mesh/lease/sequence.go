package lease

import "slices"

// mostRecords is the largest number of records that any table keeps.
const mostRecords = 1 << 16

// sequenceStep is the largest gap between two successive sequence numbers that
// count for new leases. A table has at most mostRecords records. So all of them
// together raise the sequence number of new leases by less than leap. Therefore
// every other host accepts the record of a new lease.
const sequenceStep = leap / mostRecords

// sequences summarizes the sequence numbers in a table. A sequence number
// counts if it is the lowest one, or if it is at most sequenceStep above
// another sequence number that counts. A hostile member can send numbers to a
// single host that no other host accepts. Those numbers do not count.
type sequences struct {
	lowest, greatest uint64 // of the sequence numbers that count; 0: there is none
	beyond           uint64 // the lowest sequence number that does not count; 0: there is none
	stale            bool   // the next reader must count all sequence numbers again
}

// add takes the sequence number of a merged record. A number that continues the
// counting ones costs constant time. After any other number, lastSequence
// counts all numbers again when it is called next.
func (s *sequences) add(seq uint64) {
	switch {
	case seq == 0 || s.stale:
	case s.greatest == 0 || seq < s.lowest:
		s.stale = true
	case seq > s.greatest+sequenceStep:
		if s.beyond == 0 || seq < s.beyond {
			s.beyond = seq
		}
	case seq > s.greatest:
		s.greatest = seq
		s.stale = s.beyond != 0 && s.beyond <= seq+sequenceStep
	}
}

// countSequences returns the summary of the given sequence numbers. It sorts
// all in place.
func countSequences(all []uint64) (a sequences) {
	slices.Sort(all)
	for _, seq := range all {
		switch {
		case seq == 0:
		case a.greatest == 0:
			a.lowest, a.greatest = seq, seq
		case seq > a.greatest+sequenceStep:
			a.beyond = seq
			return a
		default:
			a.greatest = seq
		}
	}
	return a
}

// lastSequence returns the greatest sequence number that counts for the
// sequence number of new leases. It returns 0 if no sequence number counts.
func (t *Table) lastSequence() uint64 {
	if t.sequences.stale {
		all := make([]uint64, 0, len(t.records))
		for _, r := range t.records {
			all = append(all, r.Sequence)
		}
		t.sequences = countSequences(all)
	}
	return t.sequences.greatest
}
