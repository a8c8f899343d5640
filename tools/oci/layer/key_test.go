package layer_test

import (
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/layer"
)

// TestKeyCoversEveryField changes one field at a time. A new type of field needs a value here.
func TestKeyCoversEveryField(t *testing.T) {
	plain := layer.NewFile("/a", 0o644, []byte("content"))
	want := layer.Key([]layer.Entry{plain}, layer.Options{})
	irrelevant := map[string]bool{"From": true, "Contents": true}
	for n := range reflect.TypeFor[layer.Entry]().NumField() {
		changed := plain
		name := reflect.TypeFor[layer.Entry]().Field(n).Name
		field := reflect.ValueOf(&changed).Elem().Field(n)
		switch value := field.Addr().Interface().(type) {
		case *time.Time:
			*value = time.Unix(1, 0)
		case *map[string][]byte:
			*value = map[string][]byte{"security.capability": {1}}
		case *layer.Opener:
			*value = func() (io.ReadCloser, error) { return nil, nil }
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString(field.String() + "x")
			case reflect.Int:
				field.SetInt(7)
			case reflect.Int64:
				field.SetInt(field.Int() + 1)
			case reflect.Uint32:
				field.SetUint(0o600)
			case reflect.Bool:
				field.SetBool(true)
			default:
				require.Failf(t, "unknown kind of field", "%s", name)
			}
		}
		if got := layer.Key([]layer.Entry{changed}, layer.Options{}); irrelevant[name] {
			assert.Equal(t, want, got, name)
		} else {
			assert.NotEqual(t, want, got, name)
		}
	}
}

// TestKeyDistinguishesBytes uses names, link targets and attributes that are equal in JSON.
func TestKeyDistinguishesBytes(t *testing.T) {
	keys := map[string]string{}
	for _, name := range []string{"\xff", "\xfe", "\ufffd", `\xff`, `\ufffd`, "\xc0\x80", "a\n", "a"} {
		for what, e := range map[string]layer.Entry{
			"path": layer.NewFile("/"+name, 0o644, nil),
			"link": {Path: "/l", Kind: layer.Symlink, Link: name},
			"attr": {Path: "/l", Kind: layer.Dir, Xattrs: map[string][]byte{"user." + name: nil}},
		} {
			key := layer.Key([]layer.Entry{e}, layer.Options{})
			assert.NotContains(t, keys, key, "%s %q has the key of %s", what, name, keys[key])
			keys[key] = what + " " + name
		}
	}
}
