package run

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParsePort(t *testing.T) {
	for text, want := range map[string]Port{
		"8080:80":             {"127.0.0.1:8080", 80},
		"8080:80/tcp":         {"127.0.0.1:8080", 80},
		"0.0.0.0:8080:80":     {"0.0.0.0:8080", 80},
		"[::1]:8080:65535":    {"[::1]:8080", 65535},
		"localhost:8080:8080": {"localhost:8080", 8080},
	} {
		got, err := ParsePort(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{
		"", "80", ":80", "8080:", "0:80", "8080:0", "8080:65536", "a:80", "8080:80/udp", "8080:80:90:x",
	} {
		_, err := ParsePort(text)
		assert.ErrorContains(t, err, "invalid port", text)
	}
}

func TestParseVolume(t *testing.T) {
	dir := t.TempDir()
	got, err := ParseVolume(dir + ":/var/lib/app/:ro")
	require.NoError(t, err)
	assert.Equal(t, Volume{dir, "/var/lib/app", true}, got)
	got, err = ParseVolume(dir + ":/srv")
	require.NoError(t, err)
	assert.Equal(t, Volume{dir, "/srv", false}, got)
	for _, text := range []string{
		"", dir, dir + ":", dir + ":srv", ":/srv", dir + ":/", dir + ":/proc", dir + ":/dev/x", dir + ":/srv/../proc",
		filepath.Join(dir, "missing") + ":/srv",
	} {
		_, err := ParseVolume(text)
		assert.ErrorContains(t, err, "invalid volume", text)
	}
}
