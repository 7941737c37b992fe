package mesh

import "github.com/gremesh/gremesh/mesh/lease"

// differing returns the IDs of the peers that differ between two Views. Both
// lists must be sorted by ID.
func differing(was, is []Host) (ids []lease.ID) {
	i, j := 0, 0
	for i < len(was) && j < len(is) {
		switch order := was[i].ID.Compare(is[j].ID); {
		case order < 0:
			ids = append(ids, was[i].ID)
			i++
		case order > 0:
			ids = append(ids, is[j].ID)
			j++
		default:
			if was[i] != is[j] {
				ids = append(ids, is[j].ID)
			}
			i, j = i+1, j+1
		}
	}
	for ; i < len(was); i++ {
		ids = append(ids, was[i].ID)
	}
	for ; j < len(is); j++ {
		ids = append(ids, is[j].ID)
	}
	return ids
}
