package image_test

import (
	"encoding/json"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/oci/image"
)

var (
	linux   = arch.Platform{OS: "linux", Architecture: "amd64"}
	windows = arch.Platform{OS: "windows", Architecture: "amd64"}
)

// configOn returns the "config" of an image on a base whose "config" is given as JSON.
func configOn(t *testing.T, p arch.Platform, s image.Settings, base string) (string, error) {
	t.Helper()
	under, _, err := image.BaseLayers("b", []byte(`{"rootfs":{"type":"layers","diff_ids":[]},"config":`+base+`}`), nil)
	require.NoError(t, err)
	raw, err := image.Config(p, s, under, nil)
	if err != nil {
		return "", err
	}
	var file struct{ Config json.RawMessage }
	require.NoError(t, json.Unmarshal(raw, &file))
	return string(file.Config), nil
}

func TestEnvRefersToTheBase(t *testing.T) {
	base := []string{"PATH=/usr/bin:/bin", "HOME=/root", "EMPTY=", "DOLLAR=a$b", "TWICE=1", "TWICE=2"}
	for _, c := range []struct {
		p           arch.Platform
		value, want string
	}{
		{linux, "/extra/bin:$PATH", "/extra/bin:/usr/bin:/bin"},
		{linux, "${PATH}:/extra", "/usr/bin:/bin:/extra"},
		{linux, "$HOME/$HOME", "/root//root"},
		{linux, "${HOME}x", "/rootx"},
		{linux, "$HOME.d", "/root.d"},
		{linux, "$$PATH", "$PATH"},
		{linux, "$$$PATH", "$/usr/bin:/bin"},
		{linux, "$$${HOME}", "$/root"},
		{linux, "a$", "a$"},
		{linux, "^a$|b$ c", "^a$|b$ c"},
		{linux, "s/(x)/$1/", "s/(x)/$1/"},
		{linux, "$(HOME)", "$(HOME)"},
		{linux, "${EMPTY}|", "|"},
		{linux, "$DOLLAR", "a$b"},
		{linux, "$TWICE", "2"},
		{linux, "${NONE:-none}", "none"},
		{linux, "${NONE-none}", "none"},
		{linux, "${EMPTY:-none}", "none"},
		{linux, "${EMPTY-none}", ""},
		{linux, "${NONE:-}", ""},
		{linux, "${NONE:-${HOME}/x}", "/root/x"},
		{linux, "${HOME:+yes}${NONE:+no}", "yes"},
		{linux, "no dollar: %PATH% `x`", "no dollar: %PATH% `x`"},
		{windows, "C:\\x;$path", "C:\\x;/usr/bin:/bin"},
		{windows, "${Path}", "/usr/bin:/bin"},
	} {
		got, err := configOn(t, c.p, image.Settings{Env: []string{"X=" + c.value}}, `{"Env":`+asJSON(t, base)+`}`)
		require.NoError(t, err, c.value)
		var config v1.Config
		require.NoError(t, json.Unmarshal([]byte(got), &config))
		assert.Equal(t, append(append([]string{}, base...), "X="+c.want), config.Env, c.value)
	}
	for value, want := range map[string][2]string{
		"/x:$PAHT": {"env: X: the base does not define $PAHT",
			"did you mean $PATH? write $$PAHT for a literal dollar sign, or ${PAHT:-} if it may be undefined"},
		"pa$word": {"env: X: the base does not define $word",
			"write $$word for a literal dollar sign, or ${word:-} if it may be undefined"},
		"$path": {"env: X: the base does not define $path",
			"did you mean $PATH? write $$path for a literal dollar sign, or ${path:-} if it may be undefined"},
		"$X": {"env: X: the base does not define $X",
			"write $$X for a literal dollar sign, or ${X:-} if it may be undefined"},
		"${HOME": {`env: X: "${HOME" has no closing brace`, "add }, or write $$ for a literal dollar sign"},
		"${}": {`env: X: cannot expand "${}"`,
			"write ${NAME}, ${NAME:-default} or ${NAME:+alternative}, or $$ for a literal dollar sign"},
		"${1}": {`env: X: cannot expand "${1}"`,
			"write ${NAME}, ${NAME:-default} or ${NAME:+alternative}, or $$ for a literal dollar sign"},
		"${HOME%/*}": {`env: X: cannot expand "${HOME%/*}"`,
			"write ${NAME}, ${NAME:-default} or ${NAME:+alternative}, or $$ for a literal dollar sign"},
		"${NONE:-$NONE}": {"env: X: the base does not define $NONE",
			"write $$NONE for a literal dollar sign, or ${NONE:-} if it may be undefined"},
	} {
		_, err := configOn(t, linux, image.Settings{Env: []string{"X=" + value}}, `{"Env":`+asJSON(t, base)+`}`)
		require.EqualError(t, err, want[0], value)
		var hinting fault.Hinter
		require.ErrorAs(t, err, &hinting)
		assert.Equal(t, want[1], hinting.Hint(), value)
	}
}

func TestEnvOverridesTheBase(t *testing.T) {
	own := image.Settings{Env: []string{"B=2", "PATH=/x:$PATH"}}
	got, err := configOn(t, linux, own, `{"Env":["PATH=/bin","Path=/other","A=1"]}`)
	require.NoError(t, err)
	assert.Equal(t, `{"Env":["Path=/other","A=1","B=2","PATH=/x:/bin"]}`, got)
	got, err = configOn(t, windows, own, `{"Env":["Path=C:\\Windows","A=1"]}`)
	require.NoError(t, err)
	assert.Equal(t, `{"Env":["A=1","B=2","PATH=/x:C:\\Windows"]}`, got)

	_, err = configOn(t, windows, image.Settings{Env: []string{"PATH=a", "Path=b"}}, `{}`)
	assert.EqualError(t, err, "env: Path: is set twice")

	// The environment of a base that is not an image is stored with its layer.
	static := layerOf(t, "static")
	static.Env = []string{"PATH=/usr/bin"}
	raw, err := image.Config(linux, own, nil, []image.Layer{static})
	require.NoError(t, err)
	assert.Contains(t, string(raw), `"Env":["B=2","PATH=/x:/usr/bin"]`)
	_, err = image.Config(linux, own, nil, nil)
	assert.EqualError(t, err, "env: PATH: the base does not define $PATH")
}

func TestConfigsInheritWhatTheyDoNotSet(t *testing.T) {
	const base = `{"AttachStdin":true,"Cmd":["b"],"Healthcheck":{"Test":["CMD","/b"],"Interval":5000000000,` +
		`"StartInterval":1000000000,"X":{"y":1}},` +
		`"Entrypoint":["/b"],"Env":["A=1"],"Labels":{"l":"b"},"Tty":true,"User":"7","WorkingDir":"/b","ArgsEscaped":true,` +
		`"NetworkDisabled":true,` +
		`"MacAddress":"aa","StopSignal":"SIGINT","Shell":["/bin/ash","-c"],"StopTimeout":9,"Vendor":{"b":[1,2],"a":"<x>"}}`
	got, err := configOn(t, linux, image.Settings{}, base)
	require.NoError(t, err)
	assert.JSONEq(t, base, got, "all of it")

	got, err = configOn(t, linux, image.Settings{Entrypoint: []string{"/x"},
		Healthcheck: &image.Healthcheck{Test: []string{"CMD", "/x"}, Retries: 2}}, base)
	require.NoError(t, err)
	assert.JSONEq(t,
		`{"AttachStdin":true,"Entrypoint":["/x"],"Healthcheck":{"Test":["CMD","/x"],"Retries":2},"Env":["A=1"],`+
			`"Labels":{"l":"b"},"Tty":true,`+
			`"User":"7","WorkingDir":"/b","NetworkDisabled":true,"MacAddress":"aa","StopSignal":"SIGINT","Shell":["/bin/ash",`+
			`"-c"],"StopTimeout":9,`+
			`"Vendor":{"b":[1,2],"a":"<x>"}}`, got, "ArgsEscaped applies to the base's command line")

	// In Bazel, a base is written to a file and read back.
	under, _, err := image.BaseLayers("b",
		[]byte(`{"os":"linux","os.version":"1","rootfs":{"type":"layers","diff_ids":[]},"config":`+base+`}`), nil)
	require.NoError(t, err)
	written, err := json.Marshal(under)
	require.NoError(t, err)
	var again image.BaseConfig
	require.NoError(t, json.Unmarshal(written, &again))
	assert.Equal(t, *under, again)
}

func TestHealthcheck(t *testing.T) {
	for name, c := range map[string]struct {
		own        image.Healthcheck
		base, want string
	}{
		"of its own": {
			image.Healthcheck{Test: []string{"CMD-SHELL", "x || exit 1"}, Interval: time.Minute,
				Timeout: time.Second, StartPeriod: 2 * time.Second, StartInterval: time.Millisecond, Retries: 5},
			`{"Healthcheck":{"Test":["CMD","/b"],"Retries":9}}`,
			`{"Test":["CMD-SHELL","x || exit 1"],"Interval":60000000000,"Timeout":1000000000,"StartPeriod":2000000000,` +
				`"StartInterval":1000000,"Retries":5}`,
		},
		"none": {image.Healthcheck{Test: []string{"NONE"}},
			`{"Healthcheck":{"Test":["CMD","/b"]}}`, `{"Test":["NONE"]}`},
		"the base's at another pace": {image.Healthcheck{Interval: time.Minute},
			`{"Healthcheck":{"Test":["CMD","/b"],"Interval":1,"Retries":9}}`,
			`{"Test":["CMD","/b"],"Interval":60000000000,"Retries":9}`},
		"on a base without a check": {image.Healthcheck{Test: []string{"CMD", "/x"}}, `{}`, `{"Test":["CMD","/x"]}`},
		"on a base with null": {image.Healthcheck{Test: []string{"CMD", "/x"}}, `{"Healthcheck":null}`,
			`{"Test":["CMD","/x"]}`},
	} {
		got, err := configOn(t, linux, image.Settings{Healthcheck: &c.own}, c.base)
		require.NoError(t, err, name)
		assert.JSONEq(t, `{"Healthcheck":`+c.want+`}`, got, name)
	}
	_, err := configOn(t, linux, image.Settings{Healthcheck: &image.Healthcheck{Retries: 1}}, `{}`)
	assert.EqualError(t, err, "healthcheck: no test given, and the base has none")
}

func TestWindowsPaths(t *testing.T) {
	for in, want := range map[string]string{
		"/app": `C:\app`, "/": `C:\`, "/a/b/": `C:\a\b`, `C:\app`: `C:\app`, `c:/app/x`: `C:\app\x`,
		`D:\data`: `D:\data`, "C:": `C:\`,
	} {
		got, err := configOn(t, windows, image.Settings{Workdir: in, Volumes: []string{in}}, `{}`)
		require.NoError(t, err)
		assert.Equal(t, `{"Volumes":{`+asJSON(t, want)+`:{}},"WorkingDir":`+asJSON(t, want)+`}`, got, in)
	}
	got, err := configOn(t, linux, image.Settings{Workdir: "/app", Volumes: []string{"/data"}}, `{}`)
	require.NoError(t, err)
	assert.Equal(t, `{"Volumes":{"/data":{}},"WorkingDir":"/app"}`, got)
	got, err = configOn(t, windows, image.Settings{}, `{"WorkingDir":"/odd"}`)
	require.NoError(t, err)
	assert.Equal(t, `{"WorkingDir":"/odd"}`, got, "paths of the base are unchanged")
	for _, s := range []image.Settings{{Entrypoint: []string{"x"}}, {Cmd: []string{"x"}}, {Entrypoint: []string{}}} {
		got, err := configOn(t, windows, s, `{"Entrypoint":["cmd /c b"],"Cmd":["y"],"ArgsEscaped":true}`)
		require.NoError(t, err)
		assert.NotContains(t, got, "ArgsEscaped")
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	require.NoError(t, err)
	return string(out)
}
