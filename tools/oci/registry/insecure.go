package registry

import "crypto/tls"

// insecureTLS returns the configuration of --insecure. It is the only place that skips
// verification.
func insecureTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // requested by the user
}
