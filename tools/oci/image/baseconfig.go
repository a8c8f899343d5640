package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// BaseConfig is the config of a base image. Unlike v1.ConfigFile it keeps the fields of "config" that the library does
// not know, such as StartInterval of a health check: images inherit them.
type BaseConfig struct {
	v1.ConfigFile
	// others are fields of "config" in JSON: unknown ones, and Healthcheck, which has unknown fields itself.
	others map[string]json.RawMessage
}

// healthcheckField is the name of that field of "config".
const healthcheckField = "Healthcheck"

// UnmarshalJSON reads a config file.
func (b *BaseConfig) UnmarshalJSON(content []byte) error {
	*b = BaseConfig{}
	if err := json.Unmarshal(content, &b.ConfigFile); err != nil {
		return err
	}
	var raw struct {
		Config map[string]json.RawMessage `json:"config"`
	}
	if err := json.Unmarshal(content, &raw); err != nil {
		return err
	}
	for f := range reflect.TypeFor[v1.Config]().Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != healthcheckField {
			delete(raw.Config, name)
		}
	}
	if string(raw.Config[healthcheckField]) == "null" {
		delete(raw.Config, healthcheckField)
	}
	for name, value := range raw.Config {
		// One form for both engines: Bazel's is written to a file and read back.
		var compact, escaped bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return err
		}
		json.HTMLEscape(&escaped, compact.Bytes())
		raw.Config[name] = escaped.Bytes()
	}
	b.others = raw.Config
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (b *BaseConfig) MarshalJSON() ([]byte, error) { return marshalConfig(b.ConfigFile, b.more()) }

// more returns the fields of "config" that v1.Config does not have, and Healthcheck. The map is the caller's own.
func (b *BaseConfig) more() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, b.others)
	if h := b.Config.Healthcheck; h != nil && all[healthcheckField] == nil {
		all[healthcheckField], _ = json.Marshal(h) // which has strings and numbers only
	}
	return all
}

// marshalConfig writes a config file with others, in the order of their names, at the end of its "config", which is the
// last field that every file has.
func marshalConfig(file v1.ConfigFile, others map[string]json.RawMessage) ([]byte, error) {
	if len(others) == 0 {
		return json.Marshal(file)
	}
	file.Config.Healthcheck = nil
	out, err := json.Marshal(file)
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(file.Config)
	if err != nil {
		return nil, err
	}
	var extended bytes.Buffer
	extended.Write(bytes.TrimSuffix(config, []byte("}")))
	for n, name := range slices.Sorted(maps.Keys(others)) {
		if n > 0 || len(config) > len("{}") {
			extended.WriteByte(',')
		}
		fmt.Fprintf(&extended, "%s:%s", quoted(name), others[name])
	}
	extended.WriteByte('}')
	at := bytes.LastIndex(out, append([]byte(`"config":`), config...))
	if at < 0 {
		return nil, fmt.Errorf("the config has no field config")
	}
	at += len(`"config":`)
	return slices.Concat(out[:at], extended.Bytes(), out[at+len(config):]), nil
}

func quoted(s string) []byte {
	out, _ := json.Marshal(s) // strings can always be written
	return out
}
