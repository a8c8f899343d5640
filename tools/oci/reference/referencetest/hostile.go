// Package referencetest has hostile values for tests of whatever takes hosts, references and names.
package referencetest

import "strings"

// Hosts returns hosts that no check may let through: they mean something to shells, YAML, Groovy, the expressions of
// GitHub and GitLab, URLs or terminals.
func Hosts() []string {
	all := []string{
		"", ".", "..", "-", "-x", "--password=x", "x-.com", ".com", "com.", "a..b", "a b.com", "a_b.com", "a,b.com",
		"[::1", "::1", "[::1]x", "[fe80::1%eth0]", "[1.2.3.4]", "[]", "[::ffff:1.2.3.4]", "a.com:", "a.com:0", "a.com:65536",
		"a.com:x", "a.com:1:2", "a.com:+1", "a.com:-1",
		"user:password@a.com", "user@a.com", "https://a.com", "//a.com", "a.com/x", "a.com?x", "a.com#x", "a%2ecom",
		"http:a.com",
		"münchen.example", "а.com", "a\u200b.com", "a．com", "\u202ea.com", strings.Repeat("a", 300) + ".com",
	}
	for _, c := range Snippets() {
		all = append(all, "a"+c+"b.com", c+".com", "a.com"+c)
	}
	return all
}

// Snippets returns what makes a value hostile.
func Snippets() []string {
	return []string{
		";touch$IFS'X';", "$(touch X)", "`touch X`", "$X", "${X}", "&touch X&", "|touch X", ">X", "<X", "'", "\"", "\\", "\n",
		"\r\n", "\t", "\x00",
		"*", "?", "~", "!x", "(x)", "{x}", "[x]", "#x", "%x", "^x", "=", "${{ github.token }}", "$[[ inputs.x ]]", "'''",
		`"""`, ": x", "- x", "&a", "*a", "!!x", "|", "\x1b[31m", "\u2028",
	}
}
