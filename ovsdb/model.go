package ovsdb

import (
	"reflect"

	"github.com/ovn-org/libovsdb/model"
)

// The tables and columns of the Open_vSwitch database that this package reads
// (ovs-vswitchd.conf.db(5)). The client requests every column here when it
// connects. An older server that lacks one refuses, so list no column that is
// not needed. The statistics column is omitted on purpose: it changes in every
// row every five seconds.

type rootRow struct {
	UUID    string   `ovsdb:"_uuid"`
	Bridges []string `ovsdb:"bridges"`
	CurCfg  int      `ovsdb:"cur_cfg"`

	OtherConfig map[string]string `ovsdb:"other_config"`
}

type bridgeRow struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	DatapathType string            `ovsdb:"datapath_type"`
	FailMode     *string           `ovsdb:"fail_mode"`
	Ports        []string          `ovsdb:"ports"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
	Controllers  []string          `ovsdb:"controller"`
	Mirrors      []string          `ovsdb:"mirrors"`
	STP          bool              `ovsdb:"stp_enable"`
	RSTP         bool              `ovsdb:"rstp_enable"`
	Snooping     bool              `ovsdb:"mcast_snooping_enable"`
	FloodVLANs   []int             `ovsdb:"flood_vlans"`
}

type mirrorRow struct {
	UUID   string  `ovsdb:"_uuid"`
	Name   string  `ovsdb:"name"`
	Output *string `ovsdb:"output_port"`
}

type portRow struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Interfaces  []string          `ovsdb:"interfaces"`
	Protected   bool              `ovsdb:"protected"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	Tag         *int              `ovsdb:"tag"`
	Trunks      []int             `ovsdb:"trunks"`
	VLANMode    *string           `ovsdb:"vlan_mode"`
	QoS         *string           `ovsdb:"qos"`
	LACP        *string           `ovsdb:"lacp"`
	OtherConfig map[string]string `ovsdb:"other_config"`
}

type interfaceRow struct {
	UUID       string            `ovsdb:"_uuid"`
	Name       string            `ovsdb:"name"`
	Type       string            `ovsdb:"type"`
	Options    map[string]string `ovsdb:"options"`
	MTURequest *int              `ovsdb:"mtu_request"`
	BFD        map[string]string `ovsdb:"bfd"`
	BFDStatus  map[string]string `ovsdb:"bfd_status"`
	OfPort     *int              `ovsdb:"ofport"`
	Error      *string           `ovsdb:"error"`
	Policing   int               `ovsdb:"ingress_policing_rate"`
}

// Table names of the Open_vSwitch schema.
const (
	database       = "Open_vSwitch"
	tableRoot      = "Open_vSwitch"
	tableBridge    = "Bridge"
	tablePort      = "Port"
	tableInterface = "Interface"
	tableMirror    = "Mirror"
)

func tables() map[string]model.Model {
	return map[string]model.Model{
		tableRoot:      &rootRow{},
		tableBridge:    &bridgeRow{},
		tablePort:      &portRow{},
		tableInterface: &interfaceRow{},
		tableMirror:    &mirrorRow{},
		tableMarker:    &barrierRow{},
	}
}

// columnsOf returns the columns of a row type. A monitor without this list
// receives all columns of the server, including statistics.
func columnsOf(row model.Model) []string {
	var columns []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(row).Elem()) {
		if name := field.Tag.Get("ovsdb"); name != "_uuid" {
			columns = append(columns, name)
		}
	}
	return columns
}
