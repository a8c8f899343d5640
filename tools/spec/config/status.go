package config

import "fmt"

// StatusSuffix is what Bazel's workspace status appends to STABLE_GIT_TAG and STABLE_GIT_DESCRIBE for the tags with a
// prefix: _SERVER_2F for server/. Letters are in upper case, anything else but a digit is _ and its code, and so are letters
// that are in upper case already, so that no two prefixes share a suffix.
func StatusSuffix(prefix string) string {
	if prefix == "" {
		return ""
	}
	suffix := []byte("_")
	for _, c := range []byte(prefix) {
		switch {
		case c >= 'a' && c <= 'z':
			suffix = append(suffix, c-'a'+'A')
		case c >= '0' && c <= '9':
			suffix = append(suffix, c)
		default:
			suffix = fmt.Appendf(suffix, "_%02X", c)
		}
	}
	return string(suffix)
}
