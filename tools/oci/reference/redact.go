package reference

import (
	"regexp"
	"strings"
	"sync"
)

// hidden replaces a user name and password.
const hidden = "xxxxx"

// digest matches the start of a digest, before which @ does not end a password.
var digest = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9A-Fa-f]{32,}`)
})

// Redact replaces the user name and password before the host of a reference, as in a URL. Such references are invalid,
// but errors about them must not contain the password.
func Redact(ref string) string {
	scheme := ""
	if i := strings.Index(ref, "://"); i >= 0 {
		scheme, ref = ref[:i+3], ref[i+3:]
	}
	for at := strings.LastIndexByte(ref, '@'); at >= 0; at = strings.LastIndexByte(ref[:at], '@') {
		if !digest().MatchString(ref[at+1:]) && isUserinfo(ref[:at], ref[at+1:]) {
			return scheme + hidden + ref[at:]
		}
	}
	return scheme + ref
}

// isUserinfo distinguishes user:password@host from image:tag@wrong-digest.
func isUserinfo(before, after string) bool {
	host, _, path := strings.Cut(after, "/")
	switch {
	case path && (strings.ContainsAny(host, ".:") || host == "localhost"):
		return true // a host follows
	case strings.Contains(before, "/"):
		first, _, _ := strings.Cut(before, "/")
		return CheckHost(first) != nil // the password has a slash
	case strings.Contains(before, ":"):
		return true
	}
	return path || strings.Contains(host, ".") && !strings.HasPrefix(host, "v")
}

// userinfo matches user:password@ in a text.
var userinfo = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("[^\\s\"'`=(<@:/]+:[^\\s\"'`@]+@")
})

var toAt = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("^[^\\s\"'`,]*@") })

var port = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]{1,5}/`) })

// RedactText replaces the passwords in URLs and references in a text, such as an error of another program or library.
func RedactText(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	var out strings.Builder
	for {
		m := userinfo().FindStringIndex(text)
		if m == nil {
			break
		}
		found := text[m[0]:m[1]]
		user, password, _ := strings.Cut(found, ":")
		switch {
		case strings.HasPrefix(password, "//"): // a scheme: continue after it
			out.WriteString(text[:m[0]+len(user)+3])
			text = text[m[0]+len(user)+3:]
			continue
		case digest().MatchString(text[m[1]:]), port().MatchString(password):
			out.WriteString(text[:m[1]])
		default:
			out.WriteString(text[:m[0]] + hidden + "@")
			// The password may contain @ itself.
			if more := toAt().FindString(text[m[1]:]); more != "" && !digest().MatchString(text[m[1]+len(more):]) {
				m[1] += len(more)
			}
		}
		text = text[m[1]:]
	}
	out.WriteString(text)
	return out.String()
}
