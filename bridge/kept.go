package bridge

import "slices"

// kept is a sorted copy of one of the kernel's tables. It never changes a slice that
// all has returned: the next change works on a new copy.
type kept[T any] struct {
	order func(a, b T) int  // compares the fields that identify a row
	same  func(a, b T) bool // compares the other fields of rows with equal order; nil: there are none
	rows  []T
	given bool // all has returned rows
}

// fill replaces the copy by rows, a complete listing of the kernel.
func (k *kept[T]) fill(rows []T) {
	slices.SortStableFunc(rows, k.order)
	k.rows = slices.CompactFunc(rows, func(a, b T) bool { return k.order(a, b) == 0 })
	k.given = false
}

// all returns all rows. The caller must not modify them.
func (k *kept[T]) all() []T {
	k.given = true
	return k.rows
}

// put adds or replaces a row. It reports whether this changed the table.
func (k *kept[T]) put(row T) bool {
	at, there := slices.BinarySearchFunc(k.rows, row, k.order)
	switch {
	case !there:
		k.rows = slices.Insert(k.mine(), at, row)
	case k.same == nil || k.same(k.rows[at], row):
		return false
	default:
		k.mine()[at] = row
	}
	return true
}

// remove removes a row. It reports whether the table contained the row.
func (k *kept[T]) remove(row T) bool {
	at, there := slices.BinarySearchFunc(k.rows, row, k.order)
	if there {
		k.rows = slices.Delete(k.mine(), at, at+1)
	}
	return there
}

// mine returns rows that may be changed, with capacity for more. It copies them if
// all has returned them.
func (k *kept[T]) mine() []T {
	if k.given {
		k.rows, k.given = append(make([]T, 0, len(k.rows)+len(k.rows)/8+8), k.rows...), false
	}
	return k.rows
}
