package config

import "fmt"

// StatusSuffix returns the suffix that Bazel's workspace status appends to STABLE_GIT_TAG and
// STABLE_GIT_DESCRIBE for tags with a prefix: _SERVER_2F for server/. Lower-case letters become
// upper case. Any other character except a digit becomes _ and its hexadecimal code, so that no two
// prefixes share a suffix.
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
