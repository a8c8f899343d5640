package layout

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// manifestLimit is the size of the largest file that is parsed as a manifest. Registries accept 4 MiB.
const manifestLimit = 8 << 20

// references collects all blobs that a digest refers to, directly or through other blobs. Files of other tools may have
// any type, so every digest in a JSON document counts, and blobs need not exist.
type references struct {
	dir  string // blobs
	seen map[string]bool
}

func (r references) follow(digest string) {
	algorithm, hex, ok := strings.Cut(digest, ":")
	if !ok || r.seen[digest] {
		return
	}
	r.seen[digest] = true
	if algorithm != filepath.Base(algorithm) || hex != filepath.Base(hex) {
		return
	}
	document, ok := readDocument(filepath.Join(r.dir, algorithm, hex))
	if !ok {
		return
	}
	r.collect(document)
}

// collect follows every digest in a document.
func (r references) collect(document any) {
	switch d := document.(type) {
	case map[string]any:
		for key, value := range d {
			if text, ok := value.(string); ok && key == "digest" {
				r.follow(text)
			} else {
				r.collect(value)
			}
		}
	case []any:
		for _, value := range d {
			r.collect(value)
		}
	}
}

// readDocument reads a file if it is a JSON object of the size of a manifest.
func readDocument(name string) (map[string]any, bool) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > manifestLimit || !startsObject(name) {
		return nil, false
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	var document map[string]any
	return document, json.Unmarshal(raw, &document) == nil
}

// startsObject avoids reading whole layers.
func startsObject(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 64)
	n, err := f.Read(start)
	return err == nil && strings.HasPrefix(strings.TrimLeft(string(start[:n]), " \t\r\n"), "{")
}
