package ovsdb

import (
	"fmt"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// These are the operations (RFC 7047, section 5.2) of which changes consist.
// They list each column that they write. libovsdb's own Update(model) writes
// all booleans of the model, so it would reset other columns.

// insert creates a row. Other operations of the transaction refer to the row by
// id.
func insert(table, id string, columns []column, more ovsdb.Row) ovsdb.Operation {
	row := ovsdb.NewRow()
	for _, c := range columns {
		switch {
		case c.value == nil:
		case c.key == "":
			row[c.name] = c.value
		default:
			m, ok := row[c.name].(ovsdb.OvsMap)
			if !ok {
				m = ovsdb.OvsMap{GoMap: map[any]any{}}
				row[c.name] = m
			}
			m.GoMap[c.key] = c.value
		}
	}
	for name, value := range more {
		row[name] = value
	}
	return ovsdb.Operation{Op: ovsdb.OperationInsert, Table: table, UUIDName: id, Row: row}
}

// set sets one column of a row, or one key of a map column. If c has no value,
// set removes the value.
func set(table, uuid string, c column) ovsdb.Operation {
	where := []ovsdb.Condition{is("_uuid", ovsdb.UUID{GoUUID: uuid})}
	if c.key == "" {
		value := c.value
		if value == nil {
			value = ovsdb.OvsSet{}
		}
		return ovsdb.Operation{Op: ovsdb.OperationUpdate, Table: table, Where: where,
			Row: ovsdb.Row{c.name: value}}
	}
	// An insert into a map does not change an existing key, so delete the key
	// first.
	mutations := []ovsdb.Mutation{
		{Column: c.name, Mutator: ovsdb.MutateOperationDelete, Value: ovsdb.OvsSet{GoSet: []any{c.key}}},
	}
	if c.value != nil {
		mutations = append(mutations, ovsdb.Mutation{Column: c.name, Mutator: ovsdb.MutateOperationInsert,
			Value: ovsdb.OvsMap{GoMap: map[any]any{c.key: c.value}}})
	}
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: where, Mutations: mutations}
}

// reference adds a row to a column of references, or removes it. A row without
// a reference to it is deleted at the end of its transaction.
type reference struct {
	to referrer
	id string // of the row: its UUID, or its name within the transaction
}

// referrer is a column of references in one row, and the mutator to apply to
// it.
type referrer struct {
	mutator       ovsdb.Mutator
	table, column string
	name          string // name of the row; empty: the only row of its table
}

func attach(table, column, id, name string) reference {
	return reference{referrer{ovsdb.MutateOperationInsert, table, column, name}, id}
}

func detach(table, column, uuid, name string) reference {
	return reference{referrer{ovsdb.MutateOperationDelete, table, column, name}, uuid}
}

// refer combines all mutations of one column in one operation. ovsdb-server
// copies the whole column for each operation. For a thousand rows, that would
// take as long as everything else together.
func refer(to referrer, rows []any) ovsdb.Operation {
	where := root()
	if to.name != "" {
		where = is("name", to.name)
	}
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: to.table, Where: []ovsdb.Condition{where},
		Mutations: []ovsdb.Mutation{{Column: to.column, Mutator: to.mutator, Value: ovsdb.OvsSet{GoSet: rows}}}}
}

func is(column string, value any) ovsdb.Condition {
	return ovsdb.Condition{Column: column, Function: ovsdb.ConditionEqual, Value: value}
}

// root matches the only row of the Open_vSwitch table, whose UUID is not known.
func root() ovsdb.Condition {
	return ovsdb.Condition{Column: "_uuid", Function: ovsdb.ConditionNotEqual,
		Value: ovsdb.UUID{GoUUID: "00000000-0000-0000-0000-000000000000"}}
}

// id returns a name for a row to insert. It is a valid <id> of RFC 7047 for any
// characters in name.
func id(table, name string) string { return fmt.Sprintf("%s_%x", table, name) }
