package ci

// action returns a GitHub action pinned to a commit, with its version as a comment.
func action(name string) string {
	return map[string]string{
		"checkout":        "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
		"setup-go":        "actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e # v7.0.0",
		"cache":           "actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5",
		"restore":         "actions/cache/restore@27d5ce7f107fe9357f9df03efb73ab90386fccae # v5.0.5",
		"upload-artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
	}[name]
}
