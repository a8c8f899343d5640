package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// answers normalises the responses of registries and of the proxies in front of them to what the
// distribution specification defines. The media type of a manifest has no parameters, and is that
// in the manifest if it has one. HEAD requests for manifests are answered even if the registry only
// supports GET. Error messages are a single line of printable text.
type answers struct{ inner http.RoundTripper }

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	ofRegistry := strings.HasPrefix(req.URL.Path, "/v2/") // not of its token server
	isManifest := ofRegistry && strings.Contains(req.URL.Path, "/manifests/")
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	switch {
	case ofRegistry && !reads && resp.StatusCode < http.StatusMultipleChoices && plainType(resp) == "text/html":
		_ = resp.Body.Close()
		return nil, &ContentTypeError{req.URL.Host, "text/html"}
	case isManifest && req.Method == http.MethodHead && headUseless(resp):
		_ = resp.Body.Close()
		return a.headByGet(req)
	case resp.StatusCode >= http.StatusBadRequest && req.Method != http.MethodHead:
		return tidied(resp)
	case isManifest && req.Method == http.MethodGet && resp.StatusCode == http.StatusOK:
		if _, err := typed(req, resp); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// headUseless reports whether a GET request has to replace a HEAD request.
func headUseless(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusOK:
		kind := plainType(resp)
		if isManifestType(kind) {
			resp.Header.Set("Content-Type", kind)
		}
		return !isManifestType(kind) || resp.Header.Get("Docker-Content-Digest") == ""
	}
	return false
}

// headByGet answers a HEAD request with the result of a GET request.
func (a answers) headByGet(req *http.Request) (*http.Response, error) {
	get := req.Clone(req.Context())
	get.Method = http.MethodGet
	resp, err := a.inner.RoundTrip(get)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode >= http.StatusBadRequest:
		return tidied(resp)
	case resp.StatusCode != http.StatusOK:
		return resp, nil
	}
	raw, err := typed(get, resp)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	if resp.Header.Get("Docker-Content-Digest") == "" {
		resp.Header.Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum[:]))
	}
	resp.Body, resp.Request = http.NoBody, req
	return resp, nil
}

// typed reads a manifest and sets its type. If the manifest does not state its type, it is derived
// from its fields.
func typed(req *http.Request, resp *http.Response) ([]byte, error) {
	raw, err := manifest.Read(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading the manifest: %w", err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	var m struct {
		MediaType string            `json:"mediaType"`
		Manifests *[]any            `json:"manifests"`
		Config    *json.RawMessage  `json:"config"`
		FSLayers  []json.RawMessage `json:"fsLayers"`
	}
	invalid := json.Unmarshal(raw, &m)
	kind := plainType(resp)
	switch {
	case invalid == nil && isManifestType(m.MediaType):
		kind = m.MediaType
	case isManifestType(kind), strings.HasPrefix(kind, "application/vnd."):
	case invalid == nil && m.Manifests != nil:
		kind = string(types.OCIImageIndex)
	case invalid == nil && m.Config != nil:
		kind = string(types.OCIManifestSchema1)
	case invalid == nil && m.FSLayers != nil:
		kind = string(types.DockerManifestSchema1)
	default:
		return nil, &ContentTypeError{req.URL.Host, kind}
	}
	resp.Header.Set("Content-Type", kind)
	return raw, nil
}

// plainType returns the media type of a response without parameters such as a character set.
func plainType(resp *http.Response) string {
	full := resp.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(full)
	if err != nil {
		kind, _, _ = strings.Cut(full, ";")
	}
	return strings.TrimSpace(kind)
}

func isManifestType(kind string) bool {
	t := types.MediaType(kind)
	return t.IsIndex() || t.IsImage() || t.IsSchema1()
}

// ContentTypeError is returned for a response that is not from a registry, such as a page of a
// proxy.
type ContentTypeError struct{ Host, Type string }

func (e *ContentTypeError) Error() string {
	if e.Type == "" {
		return fmt.Sprintf("%s does not respond like a registry: the response is not a manifest", e.Host)
	}
	return fmt.Sprintf("%s does not respond like a registry, but with %s", e.Host, Printable(e.Type))
}

// Hint returns how to resolve the error.
func (e *ContentTypeError) Hint() string {
	return fmt.Sprintf("check that %s is a registry, and that no proxy or login page responds instead", e.Host)
}

// maxMessage is the maximum number of characters of a registry's message that is shown.
const maxMessage = 500

var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// tidied makes the body of an error response printable: errors in the form of the specification
// keep it, with printable text; anything else becomes a line of text. HTML pages are reduced to
// their title.
func tidied(resp *http.Response) (*http.Response, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, errorPage))
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading the response %s: %w", resp.Status, err)
	}
	raw = tidy(raw)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return resp, nil
}

func tidy(raw []byte) []byte {
	var value map[string]any
	if err := json.Unmarshal(raw, &value); err == nil {
		if clean, err := json.Marshal(tidyValue(value)); err == nil {
			return clean
		}
	}
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, "<") {
		found := title.FindStringSubmatch(text)
		if found == nil {
			return nil
		}
		text = found[1]
	}
	return []byte(tidyText(text))
}

// tidyValue makes all text in a JSON value printable.
func tidyValue(value any) any {
	switch v := value.(type) {
	case string:
		return tidyText(v)
	case []any:
		for i := range v {
			v[i] = tidyValue(v[i])
		}
	case map[string]any:
		for key, one := range v {
			delete(v, key)
			v[tidyText(key)] = tidyValue(one)
		}
	}
	return value
}

func tidyText(s string) string {
	text := []rune(Printable(strings.Join(strings.Fields(s), " ")))
	if len(text) > maxMessage {
		return strings.TrimSpace(string(text[:maxMessage])) + "..."
	}
	return string(text)
}

// Printable escapes characters that could affect a terminal or mislead its reader, such as control
// characters and changes of the writing direction. Newlines and tabs are kept.
func Printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			quoted := strconv.QuoteToASCII(string(r))
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return !slices.Contains([]rune{'\n', '\t', ' '}, r) && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) ||
		r == '\u2028' || r == '\u2029')
}
