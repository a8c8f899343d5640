package ci

import (
	"encoding/json"
	"regexp"
	"strings"
)

// plainWord matches a word that needs no quotes in a POSIX shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9@%+:,./_-][A-Za-z0-9@%+=:,./_-]*$`)

// Quote quotes a word for a POSIX shell. It splits sequences that start an expression of GitHub or GitLab, which the
// systems would expand before the shell runs. It puts single quotes in double quotes, because Groovy interprets
// backslashes.
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

// yamlString returns a YAML scalar. JSON strings are valid YAML.
func yamlString(s string) (string, error) {
	raw, err := json.Marshal(s)
	text := string(raw)
	for _, open := range []string{"${{", "$[["} {
		text = strings.ReplaceAll(text, open, `\u0024`+open[1:])
	}
	return text, err
}

// groovyText escapes text in a Groovy string with triple single quotes.
func groovyText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `'''`, `\'\'\'`).Replace(s)
}

// groovyString returns a Groovy string in single quotes.
func groovyString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`).Replace(s) + "'"
}
