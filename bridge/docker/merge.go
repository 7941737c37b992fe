package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// key is a member of daemon.json that gremesh owns, with its value as JSON
// text. An empty value removes the member.
type key struct{ name, value string }

const blank = " \t\r\n" // JSON's white space (RFC 8259, section 2)

// file is a parsed daemon.json. It keeps the file's white space.
type file struct {
	root   hujson.Value
	object *hujson.Object
	eol    string
}

// parse reads daemon.json. An empty file counts as an empty object. Comments
// and trailing commas are errors, because dockerd does not start with them. The
// error names line and column.
func parse(b []byte) (file, error) {
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return file{}, errors.New("line 1, column 1: a byte order mark is not JSON: save the file without it")
	}
	eol := "\n"
	if bytes.Contains(b, []byte("\r\n")) {
		eol = "\r\n"
	}
	if len(bytes.Trim(b, blank)) == 0 {
		b = []byte("{}" + eol)
	}
	root, err := hujson.Parse(bytes.Clone(b)) // copy b: the tree is edited in place
	if err != nil {
		return file{}, errors.New(strings.TrimPrefix(err.Error(), "hujson: "))
	}
	if !root.IsStandard() {
		return file{}, nonStandard(b)
	}
	object, ok := root.Value.(*hujson.Object)
	if !ok {
		return file{}, fmt.Errorf("%s: the file is not a JSON object but %.20s", position(b, root.StartOffset), b[root.StartOffset:root.EndOffset])
	}
	for _, name := range []string{"bip", "mtu", directKey, acceptKey} {
		seen := false
		for _, m := range object.Members {
			is := m.Name.Value.(hujson.Literal).String()
			if !strings.EqualFold(is, name) {
				continue
			}
			at := position(b, m.Name.StartOffset)
			if is != name {
				return file{}, fmt.Errorf("%s: key %q: dockerd knows it as %q only", at, is, name)
			}
			if seen {
				return file{}, fmt.Errorf("%s: key %q is there twice", at, name)
			}
			seen = true
		}
	}
	f := file{root, object, eol}
	if v := f.find("bip"); v != nil && v.Value.Kind() != '"' {
		return file{}, fmt.Errorf("%s: bip must be a string like \"172.17.42.1/24\"", position(b, v.StartOffset))
	}
	if v := f.find("mtu"); v != nil {
		if _, err := strconv.Atoi(literal(v)); err != nil {
			return file{}, fmt.Errorf("%s: mtu must be a whole number of bytes", position(b, v.StartOffset))
		}
	}
	if v := f.find(directKey); v != nil && literal(v) != "true" && literal(v) != "false" {
		return file{}, fmt.Errorf("%s: %s must be true or false", position(b, v.StartOffset), directKey)
	}
	if v := f.find(acceptKey); v != nil && v.Value.Kind() != '"' {
		return file{}, fmt.Errorf("%s: %s must be a string like \"0x1/0x1\"", position(b, v.StartOffset), acceptKey)
	}
	return f, nil
}

// nonStandard returns an error with the position of the first comment or
// trailing comma.
func nonStandard(b []byte) error {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(b, new(any)); !errors.As(err, &syntax) {
		return fmt.Errorf("dockerd does not start with it: %w", err)
	}
	at := max(int(syntax.Offset)-1, 0) // Offset is the position after the character
	if at < len(b) && b[at] == '/' {
		return fmt.Errorf("%s: a comment: dockerd does not start with one", position(b, at))
	}
	return fmt.Errorf("%s: the comma before it is one too many: dockerd does not start with it", position(b, at))
}

func position(b []byte, offset int) string {
	line := bytes.Count(b[:offset], []byte("\n"))
	return fmt.Sprintf("line %d, column %d", line+1, offset-bytes.LastIndexByte(b[:offset], '\n'))
}

func (f file) find(name string) *hujson.Value { return f.root.Find("/" + name) }

// literal returns the JSON text of a value. It returns an empty string for an
// object or an array.
func literal(v *hujson.Value) string {
	l, _ := v.Value.(hujson.Literal)
	return string(l)
}

// settings returns our keys as the file has them. The bip is returned as text,
// even if it is no valid prefix.
func (f file) settings() Values {
	is := Values{Bip: f.text("bip")}
	if v := f.find("mtu"); v != nil {
		is.MTU, _ = strconv.Atoi(literal(v))
	}
	if v := f.find(directKey); v != nil {
		is.Direct = literal(v)
	}
	is.Accept = f.text(acceptKey)
	return is
}

// text returns the value of a member that is a string. It returns an empty
// string if there is no such member, or if it is no string.
func (f file) text(name string) string {
	if v := f.find(name); v != nil && v.Value.Kind() == '"' {
		return v.Value.(hujson.Literal).String()
	}
	return ""
}

// merge returns daemon.json with the keys set and everything else unchanged. It
// returns an error for combinations that dockerd does not start with: bip with
// bridge, and bip with a default-gateway outside its network.
func merge(b []byte, keys []key) ([]byte, error) {
	f, err := parse(b)
	if err != nil {
		return nil, err
	}
	if v := f.find("bridge"); v != nil && literal(v) != `""` &&
		slices.ContainsFunc(keys, func(k key) bool { return k.name == "bip" && k.value != "" }) {
		return nil, fmt.Errorf("%s: dockerd does not start with both bridge and bip: remove bridge", position(b, v.StartOffset))
	}
	if v := f.find(gatewayKey); v != nil {
		if err := misplaced(f.text(gatewayKey), keys); err != nil {
			return nil, fmt.Errorf("%s: %w: remove %s", position(b, v.StartOffset), err, gatewayKey)
		}
	}
	for _, k := range keys {
		if k.value == "" {
			err = f.remove(k.name)
		} else {
			err = f.set(k)
		}
		if err != nil {
			return nil, fmt.Errorf("set %s: %w", k.name, err)
		}
	}
	return f.root.Pack(), nil
}

// gatewayKey sets the containers' default gateway. Without it, the gateway is
// docker0.
const gatewayKey = "default-gateway"

// misplaced returns an error if the gateway is outside the network of the bip
// in keys. dockerd does not start then (observed with 20.10).
func misplaced(gateway string, keys []key) error {
	addr, err := netip.ParseAddr(gateway)
	if err != nil {
		return nil //nolint:nilerr // dockerd's to refuse
	}
	for _, k := range keys {
		text, _ := strconv.Unquote(k.value)
		if bip, err := netip.ParsePrefix(text); k.name == "bip" && err == nil && !bip.Contains(addr) {
			return fmt.Errorf("dockerd does not start with bip %s and %s %s, which is not of its network", bip, gatewayKey, gateway)
		}
	}
	return nil
}

func (f file) set(k key) error {
	if v := f.find(k.name); v != nil {
		v.Value = hujson.Literal(k.value)
		return nil
	}
	before, colon := f.layout()
	if len(f.object.Members) == 0 && len(bytes.TrimSpace(f.object.AfterExtra)) == 0 {
		f.object.AfterExtra = hujson.Extra(f.eol)
	}
	after := string(f.object.AfterExtra)
	// Patch assigns comments to the right member, but adds no white space. The
	// code below does that.
	if err := f.root.Patch(fmt.Appendf(nil, `[{"op": "add", "path": "/%s", "value": %s}]`, k.name, k.value)); err != nil {
		return err
	}
	if len(bytes.TrimSpace(f.object.AfterExtra)) == 0 {
		f.object.AfterExtra = hujson.Extra(after[len(strings.TrimRight(after, blank)):])
	}
	m := &f.object.Members[len(f.object.Members)-1]
	kept := bytes.TrimRight(m.Name.BeforeExtra, blank)
	m.Name.BeforeExtra = slices.Concat(kept, hujson.Extra(before))
	m.Value.BeforeExtra = hujson.Extra(colon)
	return nil
}

// layout returns the white space that the file has before a member's name and
// after its colon.
func (f file) layout() (before, colon string) {
	members := f.object.Members
	if len(members) == 0 {
		return f.eol + "  ", " "
	}
	last := members[len(members)-1]
	before = space(last.Name.BeforeExtra)
	if len(members) == 1 && !strings.Contains(before, "\n") {
		before = " " // {"a": 1}: the space after a brace does not show the space after a comma
	}
	return before, space(last.Value.BeforeExtra)
}

// space returns the white space at the end of an extra. If there are several
// lines, it returns only the last line break and the spaces after it.
func space(e hujson.Extra) string {
	s := string(e[len(bytes.TrimRight(e, blank)):])
	if i := strings.LastIndexByte(s, '\n'); i > 0 && s[i-1] == '\r' {
		return s[i-1:]
	} else if i >= 0 {
		return s[i:]
	}
	return s
}
