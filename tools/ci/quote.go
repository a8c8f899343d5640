package ci

import (
	"encoding/json"
	"regexp"
	"strings"
)

// plainWord is what a POSIX shell takes as one word without quotes, wherever it stands.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9@%+:,./_-][A-Za-z0-9@%+=:,./_-]*$`)

// Quote returns a word quoted for a POSIX shell. The systems see a script before its shell does, so that what would start
// an expression of GitHub or GitLab is taken apart. Single quotes are put in double quotes, not behind a backslash, which
// Groovy would take.
func Quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	quoted := "'" + strings.ReplaceAll(word, "'", `'"'"'`) + "'"
	for _, open := range []string{"${{", "$[["} {
		quoted = strings.ReplaceAll(quoted, open, "$''"+open[1:])
	}
	return quoted
}

// yamlString returns a scalar of YAML, which takes the strings of JSON.
func yamlString(s string) (string, error) {
	raw, err := json.Marshal(s)
	text := string(raw)
	for _, open := range []string{"${{", "$[["} {
		text = strings.ReplaceAll(text, open, `\u0024`+open[1:])
	}
	return text, err
}

// groovyText escapes what stands between three single quotes in Groovy.
func groovyText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'''`, `\'\'\'`).Replace(s)
}

// groovyString returns a string of Groovy in single quotes.
func groovyString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}
