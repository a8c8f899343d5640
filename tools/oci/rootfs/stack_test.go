package rootfs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStackKeepsWhatIsBelow(t *testing.T) {
	dir := func(mode uint32, uid int) Node { return Node{Kind: Dir, Mode: mode, UID: uid} }
	for name, c := range map[string]struct {
		path string
		over Node
		want string
	}{
		"new file":            {path: "/usr/bin/new"},
		"replaced file":       {path: "/usr/bin/file"},
		"same directory":      {path: "/usr/bin", over: dir(0o755, 0)},
		"same link":           {path: "/bin", over: Node{Kind: Symlink, Link: "usr/bin"}},
		"file through a link": {path: "/bin/new", want: "which would replace a link to usr/bin of the layers below"},
		"other mode":          {path: "/data", over: dir(0o755, 7), want: "a directory with mode 0755 and owner 7:0"},
		"other owner":         {path: "/data", over: dir(0o700, 0), want: "a directory with mode 0700 and owner 0:0"},
		"file for directory":  {path: "/data", want: "/data is a file"},
		"directory for file":  {path: "/usr/bin/file/x", want: "would replace a file"},
		"other link":          {path: "/bin", over: Node{Kind: Symlink, Link: "/x"}, want: "/bin is a link to /x"},
	} {
		t.Run(name, func(t *testing.T) {
			below, layer := New(), New()
			below.Put("/usr/bin/file", Node{})
			below.Put("/data", dir(0o700, 7))
			below.Put("/bin", Node{Kind: Symlink, Link: "usr/bin"})
			before, err := below.MarshalJSON()
			require.NoError(t, err)
			layer.Put(c.path, c.over)
			err = below.Stack(layer)
			if c.want == "" {
				require.NoError(t, err)
				assert.NotNil(t, below.Lstat(c.path))
				assert.NotNil(t, below.Lstat("/usr/bin/file"))
				return
			}
			require.ErrorContains(t, err, c.want)
			after, err := below.MarshalJSON()
			require.NoError(t, err)
			assert.Equal(t, string(before), string(after))
		})
	}
}
