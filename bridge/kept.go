package bridge

import "slices"

// kept is a copy of one of the kernel's tables, sorted. What it has given away it
// never changes again.
type kept[T any] struct {
	order func(a, b T) int  // by what no two rows have in common
	same  func(a, b T) bool // of two rows that are one in the order; nil: they are
	rows  []T
	given bool
}

// fill takes what the kernel has listed.
func (k *kept[T]) fill(rows []T) {
	slices.SortStableFunc(rows, k.order)
	k.rows = slices.CompactFunc(rows, func(a, b T) bool { return k.order(a, b) == 0 })
	k.given = false
}

// all is read only.
func (k *kept[T]) all() []T {
	k.given = true
	return k.rows
}

// put reports whether that is news.
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

// remove reports whether the row was there.
func (k *kept[T]) remove(row T) bool {
	at, there := slices.BinarySearchFunc(k.rows, row, k.order)
	if there {
		k.rows = slices.Delete(k.mine(), at, at+1)
	}
	return there
}

// mine are the rows, to be changed, with room for some more.
func (k *kept[T]) mine() []T {
	if k.given {
		k.rows, k.given = append(make([]T, 0, len(k.rows)+len(k.rows)/8+8), k.rows...), false
	}
	return k.rows
}
