package registry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/oci/registry/registrytest"
)

// impatient is a client that retries once after a short wait.
var impatient = registry.Client{Backoff: registry.Backoff{Attempts: 2, First: time.Millisecond, Most: time.Millisecond}}

// diagnosis returns an error response as in the distribution specification.
func diagnosis(code, message string) string {
	raw, err := json.Marshal(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// TestClassify uses a registry that refuses to store a manifest, to start an upload or to return a
// manifest with the messages of several products.
func TestClassify(t *testing.T) {
	const again = "again"
	for name, c := range map[string]struct {
		request string // its method
		status  int
		body    string
		fault   registry.Fault
		hint    string
	}{
		"immutable, ECR": {"PUT", 400, diagnosis("TAG_INVALID",
			"The image tag 'v1' already exists in the 'team/hello' repository and cannot be overwritten because "+
				"the repository is immutable."), registry.ImmutableTag, "another tag"},
		"immutable, Harbor": {"PUT", 412, diagnosis("PRECONDITION",
			"Failed to process request due to 'hello:v1' configured as immutable."), registry.ImmutableTag,
			"another tag"},
		"immutable, Google": {"PUT", 400, diagnosis("MANIFEST_INVALID",
			"cannot update tag v1. The repository has enabled tag immutability"), registry.ImmutableTag, "another tag"},
		"immutable, forbidden": {"PUT", 403, diagnosis("DENIED", "This tag is immutable"), registry.ImmutableTag,
			"another tag"},
		"immutable, conflict": {"PUT", 409, "", registry.ImmutableTag, "another tag"},
		"no repository": {"POST", 404, diagnosis("NAME_UNKNOWN",
			"The repository with name 'team/hello' does not exist in the registry with id '1'"),
			registry.NoRepository, "create the repository"},
		"no project": {"POST", 404, diagnosis("NOT_FOUND", "project team not found"),
			registry.NoRepository, "create the repository"},
		"no repository, plain": {"POST", 404, "404 page not found", registry.NoRepository, "create the repository"},
		"no repository, read": {"GET", 404, diagnosis("NAME_UNKNOWN", "repository name not known to registry"),
			registry.NoRepository, "check the name"},
		"no manifest, read": {"GET", 404, diagnosis("MANIFEST_UNKNOWN", "manifest unknown"), registry.NotFound,
			"check the name, the tag"},
		"too large, nginx": {"POST", 413,
			"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body></html>",
			registry.TooLarge, "client_max_body_size"},
		"too large, code": {"PUT", 400, diagnosis("SIZE_INVALID", "manifest too large"), registry.TooLarge,
			"make the image smaller"},
		"too large, words": {"POST", 400, diagnosis("BLOB_UPLOAD_INVALID",
			"layer exceeds the maximum size of 10 GB"), registry.TooLarge, "make the image smaller"},
		"quota, Harbor": {"PUT", 403, diagnosis("DENIED",
			"adding 5.0 MiB of storage resource, which when updated to current usage of 9 MiB will exceed the "+
				"configured upper limit of 10.0 MiB."), registry.QuotaExceeded, "free space"},
		"quota, words": {"POST", 403, diagnosis("DENIED", "storage quota exceeded"), registry.QuotaExceeded,
			"free space"},
		"quota, 507": {"POST", 507, "", registry.QuotaExceeded, "free space"},
		"quota, 402": {"POST", 402, "", registry.QuotaExceeded, "free space"},
		"quota, a full disk": {"POST", 500, diagnosis("UNKNOWN", "write /data/x: no space left on device"),
			registry.QuotaExceeded, "free space"},
		"type, 415": {"PUT", 415, "", registry.UnsupportedType, "may not support"},
		"type, distribution": {"PUT", 400, diagnosis("MANIFEST_INVALID", "manifest invalid"),
			registry.UnsupportedType, "may not support"},
		"type, code": {"PUT", 405, diagnosis("UNSUPPORTED", "The operation is unsupported."),
			registry.UnsupportedType, "may not support"},
		"type, words": {"PUT", 404, diagnosis("UNKNOWN",
			"unsupported media type application/vnd.oci.image.index.v1+json"), registry.UnsupportedType,
			"may not support"},
		"foreign layer": {"PUT", 400, diagnosis("MANIFEST_INVALID", "foreign layers are not allowed"),
			registry.ForeignLayer, "foreign layers"},
		"foreign layer, URL": {"PUT", 400, diagnosis("MANIFEST_INVALID", "invalid URL on layer"),
			registry.ForeignLayer, "foreign layers"},
		"429": {"POST", 429, diagnosis("TOOMANYREQUESTS", "You have reached your pull rate limit"),
			registry.RateLimited, again},
		"429, quota": {"POST", 429, "Quota exceeded for requests per minute", registry.RateLimited, again},
		"429, read":  {"GET", 429, "", registry.RateLimited, "jobs: 4"},
		"401":        {"POST", 401, "", registry.LoginNeeded, "log in with multiarch login"},
		"403, read": {"GET", 403, diagnosis("DENIED", "requested access to the resource is denied"),
			registry.LoginNeeded, "permission to read"},
		"500": {"POST", 500, "", registry.Unavailable, again},
		"502, a proxy": {"PUT", 502, "<!DOCTYPE html><title>502 Bad\nGateway</title>" +
			strings.Repeat("<p>x", 5000), registry.Unavailable, again},
		"503, read": {"GET", 503, "", registry.Unavailable, again},
		"unknown":   {"PUT", 418, "", registry.Unknown, ""},
		"a web page, write": {"POST", 200, "<html>please log in</html>", registry.NotARegistry,
			"no proxy or login page"},
		"a web page": {"GET", 200, "<html>please log in</html>", registry.NotARegistry,
			"no proxy or login page"},
		"something else": {"GET", 200, `{"hello": 1}`, registry.NotARegistry, "is a registry"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/v2/":
				case r.Method == http.MethodHead && c.request == http.MethodPut && strings.Contains(r.URL.Path,
					"/blobs/"):
					w.Header().Set("Content-Length", "1") // the blob exists
				case r.Method == http.MethodHead:
					w.WriteHeader(http.StatusNotFound)
				case r.Method == c.request:
					if strings.HasPrefix(c.body, "{") && c.status != 200 {
						w.Header().Set("Content-Type", "application/json")
					}
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
				case r.Method == http.MethodPost:
					w.Header().Set("Location", "/upload")
					w.WriteHeader(http.StatusAccepted)
				default:
					w.WriteHeader(http.StatusCreated)
				}
			}))
			defer server.Close()
			ref, err := impatient.Parse(strings.TrimPrefix(server.URL, "http://") + "/team/hello:v1")
			require.NoError(t, err)
			img, err := random.Image(100, 1)
			require.NoError(t, err)
			purpose := registry.Pushing
			if c.request == http.MethodGet {
				purpose = registry.Reading
				_, err = remote.Get(ref, impatient.Options(t.Context())...)
			} else {
				err = impatient.Retry(t.Context(), func(ctx context.Context) error {
					return remote.Write(ref, img, append(impatient.Options(ctx), remote.WithRetryStatusCodes())...)
				})
			}
			require.Error(t, err)
			assert.Equal(t, c.fault, registry.Classify(err), "%v", err)
			hint := registry.Hint(err, purpose)
			if c.hint == "" {
				assert.Empty(t, hint)
			}
			assert.Contains(t, hint, c.hint)
			assert.Equal(t, c.fault.Temporary(), strings.Contains(hint, "again"),
				"only temporary faults are retried: %s", hint)
			assert.NotContains(t, err.Error(), "<", "HTML pages are reduced to their title")
			assert.NotContains(t, err.Error(), "\n")
			assert.Less(t, len(err.Error()), 800)
		})
	}
}

// TestClassifyNetworkErrors covers failures of connections.
func TestClassifyNetworkErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		fault registry.Fault
		hint  string
	}{
		"refused": {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
			registry.ConnectionRefused, "check the host and port of example.com"},
		"reset": {&net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
			registry.Unavailable, "push again"},
		"timeout": {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, registry.Unavailable,
			"check the spelling"},
		"no host": {&net.DNSError{IsNotFound: true}, registry.HostNotFound, "check the spelling of example.com"},
		"certificate": {&tls.CertificateVerificationError{Err: x509.HostnameError{Host: "x",
			Certificate: &x509.Certificate{}}}, registry.InvalidCertificate, "the clock"},
		"CA": {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, registry.UnknownCA,
			"SSL_CERT_FILE"},
		"a file": {&os.PathError{Op: "open", Path: "layer", Err: syscall.ENOENT}, registry.Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("doing it: %w", c.err)
			assert.Equal(t, c.fault, registry.Classify(err))
			hint := registry.Hint(err, registry.Pushing.At("example.com"))
			assert.Contains(t, hint, c.hint)
			assert.Equal(t, c.fault.Temporary(), strings.Contains(hint, "again"))
		})
	}
	assert.Equal(t, registry.Unknown, registry.Classify(nil))
}

// TestUnknownCA uses a real handshake.
func TestUnknownCA(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer server.Close()
	ref, err := impatient.Parse(strings.TrimPrefix(server.URL, "https://") + "/hello")
	require.NoError(t, err)
	// On loopback, plain HTTP is used only if the server does not speak TLS.
	_, err = remote.Get(ref, impatient.Options(t.Context())...)
	require.Error(t, err)
	assert.Equal(t, registry.UnknownCA, registry.Classify(err), "%v", err)
	assert.Contains(t, registry.Hint(err, registry.Reading), "add the CA of "+ref.Context().RegistryStr())
}

// TestConnectionRefusedIsRetried starts a registry after the first attempt.
func TestConnectionRefusedIsRetried(t *testing.T) {
	address := registrytest.Address(t)
	ref, err := quick.Parse(address + "/hello")
	require.NoError(t, err)
	img, err := random.Image(100, 1)
	require.NoError(t, err)
	attempts := 0
	require.NoError(t, quick.Retry(t.Context(), func(ctx context.Context) error {
		err := remote.Write(ref, img, quick.Options(ctx)...)
		if attempts++; attempts == 1 {
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			l, err := net.Listen("tcp", address)
			require.NoError(t, err)
			server := &httptest.Server{Listener: l, Config: &http.Server{Handler: registry.New("")}}
			server.Start()
			t.Cleanup(server.Close)
		}
		return err
	}))
	assert.Equal(t, 2, attempts)
}

// TestConnectionRefusedIsRetriedBriefly never starts a registry.
func TestConnectionRefusedIsRetriedBriefly(t *testing.T) {
	ref, err := quick.Parse(registrytest.Address(t) + "/hello")
	require.NoError(t, err)
	patient, attempts := quick, 0
	patient.Backoff.Attempts = 100
	err = patient.Retry(t.Context(), func(ctx context.Context) error {
		attempts++
		_, err := remote.Head(ref, patient.Options(ctx)...)
		return err
	})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.Equal(t, 4, attempts)
}

// TestManifestsOfNonconformingRegistries checks that manifests are read whatever their headers are,
// and that HEAD works if the registry only supports GET.
func TestManifestsOfNonconformingRegistries(t *testing.T) {
	index, err := random.Index(10, 1, 2)
	require.NoError(t, err)
	raw, err := index.RawManifest()
	require.NoError(t, err)
	var plain map[string]any
	require.NoError(t, json.Unmarshal(raw, &plain))
	delete(plain, "mediaType")
	silent, err := json.Marshal(plain)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		kind    string
		content []byte
		head    int
		want    types.MediaType
	}{
		"as it should be":      {string(types.OCIImageIndex), raw, 200, types.OCIImageIndex},
		"parameters":           {string(types.OCIImageIndex) + "; charset=utf-8", raw, 200, types.OCIImageIndex},
		"parameters, odd":      {string(types.OCIImageIndex) + ";charset=", raw, 200, types.OCIImageIndex},
		"upper case":           {"Application/vnd.OCI.image.index.v1+json", raw, 200, types.OCIImageIndex},
		"no type":              {"", raw, 200, types.OCIImageIndex},
		"JSON":                 {"application/json; charset=utf-8", raw, 200, types.OCIImageIndex},
		"text":                 {"text/plain", raw, 200, types.OCIImageIndex},
		"HTML":                 {"text/html", raw, 200, types.OCIImageIndex},
		"no type anywhere":     {"", silent, 200, types.OCIImageIndex},
		"another manifest":     {string(types.DockerManifestSchema2), raw, 200, types.OCIImageIndex},
		"of its header alone":  {string(types.DockerManifestList), silent, 200, types.DockerManifestList},
		"HEAD not allowed":     {string(types.OCIImageIndex), raw, 405, types.OCIImageIndex},
		"HEAD not implemented": {string(types.OCIImageIndex), raw, 501, types.OCIImageIndex},
		"HEAD, and no type":    {"", raw, 405, types.OCIImageIndex},
	} {
		t.Run(name, func(t *testing.T) {
			var gets int
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v2/" {
					return
				}
				if r.Method == http.MethodHead && c.head != 200 {
					w.WriteHeader(c.head)
					return
				}
				if r.Method == http.MethodGet {
					gets++
				}
				w.Header()["Content-Type"] = nil
				if c.kind != "" {
					w.Header().Set("Content-Type", c.kind)
				}
				w.Header().Set("Content-Length", fmt.Sprint(len(c.content)))
				_, _ = w.Write(c.content)
			}))
			defer server.Close()
			ref, err := impatient.Parse(strings.TrimPrefix(server.URL, "http://") + "/team/hello:v1")
			require.NoError(t, err)
			got, err := remote.Get(ref, impatient.Options(t.Context())...)
			require.NoError(t, err)
			assert.Equal(t, c.want, got.MediaType)
			_, err = got.ImageIndex()
			require.NoError(t, err)
			head, err := remote.Head(ref, impatient.Options(t.Context())...)
			require.NoError(t, err)
			want, size, err := v1.SHA256(strings.NewReader(string(c.content)))
			require.NoError(t, err)
			assert.Equal(t, want, head.Digest)
			assert.Equal(t, size, head.Size)
			assert.Equal(t, c.want, head.MediaType)
		})
	}
}

// TestRemoteTextIsPrintable sends text that moves the cursor, changes the title or hides text.
func TestRemoteTextIsPrintable(t *testing.T) {
	for name, text := range map[string]string{
		"escape": "\x1b[2J\x1b]0;owned\x07", "bell": "\a\b", "C1": "\u009b31m", "carriage return": "fine\rbad",
		"direction": "\u202egpj.exe", "invisible": "a\u200bb\ufeff", "delete": "\x7f", "lines": "a\nb\r\nc\u2028d",
	} {
		for form, body := range map[string]string{"JSON": diagnosis("DENIED", "message "+text), "text": "message " +
			text, "HTML": "<title>message " + text + "</title>"} {
			t.Run(name+", "+form, func(t *testing.T) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/v2/" {
						w.WriteHeader(http.StatusBadRequest)
						_, _ = io.WriteString(w, body)
					}
				}))
				defer server.Close()
				ref, err := impatient.Parse(strings.TrimPrefix(server.URL, "http://") + "/team/hello:v1")
				require.NoError(t, err)
				_, err = remote.Get(ref, impatient.Options(t.Context())...)
				require.ErrorContains(t, err, "message")
				for _, r := range err.Error() {
					assert.False(t, r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u202e' ||
						r == '\u200b' || r == '\u2028' || r == '\ufeff', "%q", err.Error())
				}
			})
		}
	}
	assert.Equal(t, "a\tb\nc é 漢字", registry.Printable("a\tb\nc é 漢字"))
	assert.Equal(t, `a\x1bb\u202e`, registry.Printable("a\x1bb\u202e"))
	assert.Equal(t, `a\rb`, registry.Printable("a\rb"))
}
