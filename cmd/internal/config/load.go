package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/gremesh/gremesh/mesh/lease"
)

const envPrefix = "GREMESH"

// FileVariable is the environment variable that names the configuration file.
const FileVariable = envPrefix + "_CONFIG"

// keyAnnotation marks a flag with the configuration key that the flag sets.
const keyAnnotation = "gremesh_key"

// sources holds the raw configuration before any value is checked. Flags
// override the environment, the environment overrides the file, and the file
// overrides the defaults.
type sources struct {
	*viper.Viper
	file  string // the file that was read; empty if there is none
	flags map[string]*pflag.Flag
}

// readSources reads the configuration from all sources. The file may be
// missing, unless explicit says that the user named it. A flag with a
// keyAnnotation overrides its key. An empty environment variable counts as not
// set.
func readSources(file string, explicit bool, flags *pflag.FlagSet) (*sources, error) {
	s := &sources{Viper: viper.New(), flags: map[string]*pflag.Flag{}}
	for key, value := range defaults() {
		s.SetDefault(key, value)
	}
	s.SetEnvPrefix(envPrefix)
	s.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
	s.AutomaticEnv()

	var bindErr error
	flags.VisitAll(func(f *pflag.Flag) {
		for _, key := range f.Annotations[keyAnnotation] {
			s.flags[key] = f
			bindErr = errors.Join(bindErr, s.BindPFlag(key, f))
		}
	})
	if bindErr != nil {
		return nil, bindErr
	}

	s.SetConfigFile(file)
	s.SetConfigType("yaml")
	err := s.ReadInConfig()
	switch {
	case err == nil:
		s.file = file
	case errors.Is(err, fs.ErrNotExist) && !explicit:
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("configuration file %s does not exist: create it, or start from the output of `gremesh config example`", file)
	default:
		return nil, fmt.Errorf("read configuration file %s: %w", file, err)
	}
	return s, nil
}

// Paths is the part of a configuration that leads to an agent and to its state.
type Paths struct {
	Control  string // the unix socket
	StateDir string
}

// ReadPaths reads only Paths and does not check them, so a command works while
// someone edits the file.
func ReadPaths(file string, explicit bool, flags *pflag.FlagSet) (Paths, error) {
	s, err := readSources(file, explicit, flags)
	if err != nil {
		return Paths{}, err
	}
	return Paths{Control: s.GetString("control"), StateDir: s.GetString("state_dir")}, nil
}

// Load reads and checks the configuration and the gossip keys. The file may be
// missing, unless explicit says that the user named it. The error joins one
// error for each fault. Load reads only files and the environment, and it
// changes nothing.
func Load(file string, explicit bool, flags *pflag.FlagSet) (Config, error) {
	cfg, errs, err := Check(file, explicit, flags)
	if err != nil {
		return Config{}, err
	}
	return cfg, errs.Err()
}

// Check is Load for callers that can work with a part of the configuration. The
// values of keys with a fault are not valid. The error means that a source
// could not be read.
func Check(file string, explicit bool, flags *pflag.FlagSet) (Config, *Errors, error) {
	s, err := readSources(file, explicit, flags)
	if err != nil {
		return Config{}, nil, err
	}
	var cfg Config
	errs := &Errors{sources: s, bad: map[string]bool{}}
	s.reportUnknown(errs)
	s.decode(&cfg, errs)
	if s.flagged("mesh.join") && !s.flagged("mesh.bootstrap") {
		cfg.Mesh.Bootstrap = false // --join means to join a mesh, so this host creates none
	}
	validate(&cfg, errs)
	if cfg.Import != "" && errs.ok("lease_import", "pool", "prefix") {
		cfg.Imported, err = readFlannelLease(cfg.Import)
		space := lease.Pool{Prefix: cfg.Pool, Bits: cfg.Prefix}
		switch {
		case err != nil:
			errs.add("lease_import", "%w", err)
		case cfg.Imported.IsValid() && !space.Contains(cfg.Imported):
			errs.add("lease_import", "names the subnet %s, which is not one of the /%d of the pool %s", cfg.Imported, cfg.Prefix, cfg.Pool)
		}
	}
	if !cfg.Mesh.Insecure && errs.ok(keyFileKey, insecureKey) {
		cfg.Mesh.Keys, err = readKeys(cfg.Mesh.KeyFile)
		if err != nil {
			errs.add(keyFileKey, "%w", err)
		}
	}
	cfg.Pins = s.pins(cfg)
	return cfg, errs, nil
}

// reportUnknown reports unknown keys in the file and unknown GREMESH_
// variables.
func (s *sources) reportUnknown(errs *Errors) {
	known := configKeys()
	all := s.AllKeys()
	slices.Sort(all)
	for _, key := range all {
		same := func(k string) bool { return strings.EqualFold(k, key) } // viper has the keys in lower case
		if slices.ContainsFunc(known, same) || slices.ContainsFunc(known, inSection(key)) {
			continue
		}
		errs.list = append(errs.list, fmt.Errorf("%s (file %s): unknown key; there are %s", key, s.file, siblings(known, key)))
	}
	vars := os.Environ()
	slices.Sort(vars)
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		if value == "" || name == FileVariable || !strings.HasPrefix(name, envPrefix+"_") {
			continue
		}
		if !slices.ContainsFunc(known, func(key string) bool { return envName(key) == name }) {
			errs.list = append(errs.list, fmt.Errorf("%s (environment): unknown variable; the key mesh.join is %s, and so on", name, envName("mesh.join")))
		}
	}
}

// inSection returns a predicate that matches the keys below a section.
func inSection(section string) func(string) bool {
	return func(key string) bool { return strings.HasPrefix(key, section+".") }
}

// siblings lists the known keys in the section of an unknown key. If there is
// no such section, it lists the names at the top level.
func siblings(known []string, key string) string {
	if section, _, ok := strings.Cut(key, "."); ok {
		if in := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !inSection(section)(k) }); len(in) > 0 {
			return strings.Join(in, ", ")
		}
	}
	var top []string
	for _, k := range known {
		name, _, _ := strings.Cut(k, ".")
		top = append(top, name)
	}
	return strings.Join(slices.Compact(top), ", ")
}

// decode fills cfg and reports each value that its key cannot have.
func (s *sources) decode(cfg *Config, errs *Errors) {
	err := s.UnmarshalExact(cfg, func(c *mapstructure.DecoderConfig) {
		c.WeaklyTypedInput = false
		c.DecodeHook = decodeValue
	})
	for _, e := range decodeErrors(err) {
		if strings.HasPrefix(e.Unwrap().Error(), "has invalid keys") {
			continue // reportUnknown has reported these, together with the known keys
		}
		errs.add(e.Name(), "%w", e.Unwrap())
	}
}

// decodeErrors returns the errors about single keys in an error of
// mapstructure.
func decodeErrors(err error) []*mapstructure.DecodeError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []*mapstructure.DecodeError
		for _, e := range joined.Unwrap() {
			all = append(all, decodeErrors(e)...)
		}
		return all
	}
	if e, ok := err.(*mapstructure.DecodeError); ok { //nolint:errorlint // it walks the wrapping itself, to find all and not the first
		if inner := decodeErrors(e.Unwrap()); len(inner) > 0 {
			return inner
		}
		return []*mapstructure.DecodeError{e}
	}
	if err == nil {
		return nil
	}
	return decodeErrors(errors.Unwrap(err))
}

// flagged reports whether a flag sets the key.
func (s *sources) flagged(key string) bool {
	f := s.flags[key]
	return f != nil && f.Changed
}

// source names the origin of a key's value: a flag, the environment, the file
// or the default.
func (s *sources) source(key string) string {
	if s.flagged(key) {
		return "flag --" + s.flags[key].Name
	}
	if os.Getenv(envName(key)) != "" {
		return "environment " + envName(key)
	}
	if s.InConfig(key) {
		return "file " + s.file
	}
	return defaultSource
}

const defaultSource = "default"

// envName returns the environment variable of a key. For example, it returns
// GREMESH_MESH_JOIN for mesh.join.
func envName(key string) string {
	return envPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}
