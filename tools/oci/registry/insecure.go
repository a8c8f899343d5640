package registry

import "crypto/tls"

// insecureTLS is the configuration of --insecure, kept apart so that the one place that skips verification is easy to
// find.
func insecureTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for by the user
}
