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

// BaseConfig is the config of a base image. Unlike v1.ConfigFile it keeps fields of "config" that
// go-containerregistry does not know, such as StartInterval of a health check, because images
// inherit them.
type BaseConfig struct {
	v1.ConfigFile
	// others holds fields of "config" as JSON: unknown ones, and Healthcheck, which contains
	// unknown fields itself.
	others map[string]json.RawMessage
}

// healthcheckField is the name of a field of "config".
const healthcheckField = "Healthcheck"

// UnmarshalJSON parses a config file.
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
		// Normalise the JSON for both engines: Bazel writes it to a file and reads it back.
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

// MarshalJSON returns the config file as JSON.
func (b *BaseConfig) MarshalJSON() ([]byte, error) { return marshalConfig(b.ConfigFile, b.more()) }

// more returns a copy of the fields of "config" that v1.Config does not have, and Healthcheck.
func (b *BaseConfig) more() map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	maps.Copy(all, b.others)
	if h := b.Config.Healthcheck; h != nil && all[healthcheckField] == nil {
		all[healthcheckField], _ = json.Marshal(h) // contains only strings and numbers
	}
	return all
}

// marshalConfig returns a config file with the other fields, sorted by name, appended to its
// "config", which is the last field of every file.
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
		return nil, fmt.Errorf("the image config has no field \"config\"")
	}
	at += len(`"config":`)
	return slices.Concat(out[:at], extended.Bytes(), out[at+len(config):]), nil
}

func quoted(s string) []byte {
	out, _ := json.Marshal(s) // marshalling a string cannot fail
	return out
}
