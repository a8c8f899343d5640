package image

import (
	"path"
	"strings"
)

// windowsPath writes an absolute path of an image as Windows does: C:\app for /app.
func windowsPath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) >= 2 && p[1] == ':' {
		return strings.ToUpper(p[:1]) + ":" + strings.ReplaceAll(path.Clean("/"+p[2:]), "/", `\`)
	}
	return `C:` + strings.ReplaceAll(path.Clean("/"+p), "/", `\`)
}
