package ovsdb

import (
	"fmt"

	"github.com/ovn-org/libovsdb/ovsdb"
)

// The operations (RFC 7047, section 5.2) that changes are made of. They name
// each column that they write; libovsdb's own Update(model) writes all booleans
// of the model and so would reset a column that was not meant.

// insert makes a row. Its id stands for the row within the transaction.
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

// set gives one column of a row its value, or takes it away.
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
	// An insert into a map leaves a key that is there as it is.
	mutations := []ovsdb.Mutation{
		{Column: c.name, Mutator: ovsdb.MutateOperationDelete, Value: ovsdb.OvsSet{GoSet: []any{c.key}}},
	}
	if c.value != nil {
		mutations = append(mutations, ovsdb.Mutation{Column: c.name, Mutator: ovsdb.MutateOperationInsert,
			Value: ovsdb.OvsMap{GoMap: map[any]any{c.key: c.value}}})
	}
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: where, Mutations: mutations}
}

// reference puts a row into a column of references, or takes it out. A row that
// nothing refers to does not survive its transaction.
type reference struct {
	to referrer
	id string // of the row: its UUID, or what it is called within the transaction
}

// referrer is a column of references in one row, and what is done to it.
type referrer struct {
	mutator       ovsdb.Mutator
	table, column string
	name          string // of the row; empty: the only one of its table
}

func attach(table, column, id, name string) reference {
	return reference{referrer{ovsdb.MutateOperationInsert, table, column, name}, id}
}

func detach(table, column, uuid, name string) reference {
	return reference{referrer{ovsdb.MutateOperationDelete, table, column, name}, uuid}
}

// refer does all that is to be done to one column in one operation: ovsdb-server
// copies the whole column for each, which takes as long as all else when there
// are a thousand.
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

// root holds for the one row of the Open_vSwitch table, without knowing it.
func root() ovsdb.Condition {
	return ovsdb.Condition{Column: "_uuid", Function: ovsdb.ConditionNotEqual,
		Value: ovsdb.UUID{GoUUID: "00000000-0000-0000-0000-000000000000"}}
}

// id is a name for the row to insert that is an <id> of RFC 7047 whatever
// characters the row's own name has.
func id(table, name string) string { return fmt.Sprintf("%s_%x", table, name) }
