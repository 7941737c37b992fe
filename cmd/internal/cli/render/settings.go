package render

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/gremesh/gremesh/mesh"
	"github.com/gremesh/gremesh/mesh/settings"
)

// Settings formats the output of `gremesh config show` as a table.
func Settings(list mesh.SettingList, p Styler) string {
	t := newTable()
	t.AppendHeader(table.Row{"SETTING", "VALUE", "FROM"})
	for _, s := range list.Settings {
		t.AppendRow(table.Row{s.Key, s.Value, settingOrigin(list, s, p)})
	}
	return t.Render() + "\n"
}

func settingOrigin(list mesh.SettingList, s mesh.Setting, p Styler) string {
	switch {
	case s.Origin == mesh.OriginPinned && s.Value != s.Mesh:
		return p.in(text.FgYellow, fmt.Sprintf("pinned in %s; the mesh has %s", s.Where, s.Mesh))
	case s.Origin == mesh.OriginPinned:
		return "pinned in " + s.Where + ", like the mesh"
	case s.Origin == mesh.OriginDefault:
		return "default"
	case !s.Known:
		return "mesh, " + settingsVersion(list) + "; unknown to this version of gremesh"
	}
	return "mesh, " + settingsVersion(list)
}

// settingsVersion names the version of the settings record and the host that
// wrote it.
func settingsVersion(list mesh.SettingList) string {
	if list.Writer == "" {
		return fmt.Sprintf("version %d", list.Version)
	}
	return fmt.Sprintf("version %d by %s", list.Version, list.Writer)
}

// ChangedSettings describes the settings of the mesh after a change.
func ChangedSettings(list mesh.SettingList, changes []settings.Value) string {
	var b strings.Builder
	for _, change := range changes {
		for _, s := range list.Settings {
			if s.Key == change.Key {
				fmt.Fprintf(&b, "%s is %s for the whole mesh (settings %s)\n", s.Key, s.Mesh, settingsVersion(list))
			}
		}
	}
	return b.String()
}
