package main

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

// decodeValue turns a value as it was written into the type of its key, and
// says what is allowed when it cannot. The file has numbers, booleans and
// lists; the environment has text for all of them. It is a decode hook of
// mapstructure.
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

// allowed replaces an error by what it is that would have been right.
func allowed(err error, what string) error {
	if err != nil {
		return errors.New(what)
	}
	return nil
}

// decodeText parses text into a T by its UnmarshalText.
func decodeText[T any, P interface {
	*T
	encoding.TextUnmarshaler
}](value any, what string) (T, error) {
	if parsed, done := value.(T); done { // as an element of a list, which was decoded as a whole
		return parsed, nil
	}
	var parsed T
	text, ok := value.(string)
	if !ok {
		return parsed, errors.New(what)
	}
	return parsed, allowed(P(&parsed).UnmarshalText([]byte(text)), what)
}

// parseAdvertise tells an address, a network and an interface's name apart.
func parseAdvertise(text string, isText bool) (Advertise, error) {
	if !isText {
		return Advertise{}, errors.New("must be an address, a network or an interface name")
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return Advertise{Addr: addr}, nil
	}
	if strings.Contains(text, "/") { // no interface name has one
		network, err := netip.ParsePrefix(text)
		return Advertise{Network: network}, allowed(err, "is no network")
	}
	if text != "" && strings.Trim(text, "0123456789.") == "" {
		return Advertise{}, errors.New("is no address")
	}
	return Advertise{Interface: text}, nil
}

// parseList takes a list of text, or text with commas or white space between.
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

// restartNever are the words for no command, in any case. YAML reads a bare no
// and off as false.
var restartNever = []string{"never", "no", "off", "false", "none"}

// parseRestart takes a command as a list, a command without quotes as text
// with white space between its words, or never.
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
			return nil, what // there is no shell here that would read them
		}
		value = strings.Fields(v)
	}
	words, err := parseList(value)
	if err != nil || len(words) == 0 || words[0] == "" {
		return nil, what
	}
	if len(words) == 1 && slices.Contains(restartNever, strings.ToLower(words[0])) { // [never]
		return Restart{}, nil
	}
	return words, nil
}
