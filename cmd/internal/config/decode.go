package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decodeValue converts a value to the type of its key. If the value is not
// valid, the error says which values are allowed. Values from the file are
// numbers, booleans, lists or text. Values from the environment are always
// text. decodeValue is a decode hook of mapstructure.
func decodeValue(_, to reflect.Type, value any) (any, error) {
	text, isText := value.(string)
	switch to {
	case reflect.TypeFor[netip.Prefix]():
		return decodeText[netip.Prefix](value, "must be an address with its prefix length, like 172.17.0.0/16")
	case reflect.TypeFor[netip.AddrPort]():
		return decodeText[netip.AddrPort](value, "must be an address and a port, like 127.0.0.1:9747")
	case reflect.TypeFor[slog.Level]():
		return decodeText[slog.Level](value, "must be debug, info, warn or error")
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		return d, allowed(err, "must be a time with its unit, like 10m or 90s")
	case reflect.TypeFor[Advertise]():
		return parseAdvertise(text, isText)
	case reflect.TypeFor[Restart]():
		return parseRestart(value)
	case reflect.TypeFor[[]string]():
		return parseList(value)
	case reflect.TypeFor[[]netip.Prefix]():
		return parseCIDRs(value)
	case reflect.TypeFor[bool]():
		if b, ok := value.(bool); ok {
			return b, nil
		}
		if text != "true" && text != "false" {
			return nil, errors.New("must be true or false")
		}
		return text == "true", nil
	case reflect.TypeFor[int]():
		n, err := strconv.Atoi(fmt.Sprint(value))
		return n, allowed(err, "must be a whole number")
	case reflect.TypeFor[uint32]():
		n, err := strconv.ParseUint(fmt.Sprint(value), 10, 32)
		return uint32(n), allowed(err, fmt.Sprintf("must be a whole number from 0 to %d", uint32(math.MaxUint32)))
	case reflect.TypeFor[string]():
		if !isText {
			return nil, errors.New("must be text; put it in quotes")
		}
	}
	return value, nil
}

// allowed replaces a non-nil error with a text about the allowed values.
func allowed(err error, what string) error {
	if err != nil {
		return errors.New(what)
	}
	return nil
}

// decodeText parses text into a T with its UnmarshalText method.
func decodeText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](value any, what string) (T, error) {
	if parsed, done := value.(T); done { // an element of a list that was already decoded as a whole
		return parsed, nil
	}
	var parsed T
	text, ok := value.(string)
	if !ok {
		return parsed, errors.New(what)
	}
	return parsed, allowed(P(&parsed).UnmarshalText([]byte(text)), what)
}

// parseAdvertise returns an Advertise with an address, a network or an
// interface name.
func parseAdvertise(text string, isText bool) (Advertise, error) {
	if !isText {
		return Advertise{}, errors.New("must be an address, a network or an interface name")
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return Advertise{Addr: addr}, nil
	}
	if strings.Contains(text, "/") { // no interface name contains a slash
		network, err := netip.ParsePrefix(text)
		return Advertise{Network: network}, allowed(err, "is no network")
	}
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		return Advertise{}, errors.New("is no address")
	}
	return Advertise{Interface: text}, nil
}

// parseList returns a list of text. It also accepts one text, whose elements
// are separated by commas or white space.
func parseList(value any) ([]string, error) {
	switch v := value.(type) {
	case []string:
		return v, nil
	case string:
		return strings.FieldsFunc(v, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' || c == '\n' }), nil
	case []any:
		list := make([]string, len(v))
		for i := range v {
			text, ok := v[i].(string)
			if !ok {
				return nil, fmt.Errorf("must be a list of text; put %v in quotes", v[i])
			}
			list[i] = text
		}
		return list, nil
	}
	return nil, errors.New("must be a list of text")
}

// restartNever lists the words that mean no command, in upper or lower case.
// YAML reads an unquoted no or off as false.
var restartNever = []string{"never", "no", "off", "false", "none"}

// parseRestart returns the restart command. It accepts a list of words, a text
// without quotes, or one of restartNever. White space separates the words of a
// text.
func parseRestart(value any) (Restart, error) {
	what := errors.New("must be a command as a list, like [systemctl, restart, docker], or never")
	switch v := value.(type) {
	case bool:
		if !v {
			return Restart{}, nil
		}
		return nil, what
	case string:
		if slices.Contains(restartNever, strings.ToLower(strings.TrimSpace(v))) {
			return Restart{}, nil
		}
		if strings.ContainsAny(v, `'"\`) {
			return nil, what // no shell would interpret these characters
		}
		value = strings.Fields(v)
	}
	words, err := parseList(value)
	if err != nil || len(words) == 0 || words[0] == "" {
		return nil, what
	}
	if len(words) == 1 && slices.Contains(restartNever, strings.ToLower(words[0])) { // a list such as [never]
		return Restart{}, nil
	}
	return words, nil
}
