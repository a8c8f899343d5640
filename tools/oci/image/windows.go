package image

import (
	"path"
	"strings"
)

// windowsPath converts an absolute path to Windows notation: C:\app for /app.
func windowsPath(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	if len(p) >= 2 && p[1] == ':' {
		return strings.ToUpper(p[:1]) + ":" + strings.ReplaceAll(path.Clean("/"+p[2:]), "/", `\`)
	}
	return `C:` + strings.ReplaceAll(path.Clean("/"+p), "/", `\`)
}
