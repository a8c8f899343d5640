package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/oci/manifest"
)

// local refuses requests that a web page can make a browser send: those for a name of a foreign domain that resolves to
// loopback (DNS rebinding), and those from another origin.
type local struct{ inner http.Handler }

func (l local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !localName((&url.URL{Host: r.Host}).Hostname()) {
		refuse(w, http.StatusForbidden, transport.DeniedErrorCode, "this registry is reached as localhost or by its loopback address, and not as "+r.Host)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			refuse(w, http.StatusForbidden, transport.DeniedErrorCode, "requests from other origins are refused")
			return
		}
	}
	l.inner.ServeHTTP(w, r)
}

// localName tells whether a name can only be that of this machine.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// whole passes on manifests that have arrived as a whole, and are not longer than registries accept. The registry behind it
// would store any part of one.
type whole struct{ inner http.Handler }

func (h whole) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
		h.inner.ServeHTTP(w, r)
		return
	}
	raw, err := manifest.Read(r.Body)
	var (
		large *manifest.TooLargeError
		size  *manifest.SizeError
	)
	if err == nil {
		err = manifest.Check(raw)
	}
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, transport.SizeInvalidErrorCode, err.Error())
		return
	case errors.As(err, &size):
		refuse(w, http.StatusBadRequest, transport.ManifestInvalidErrorCode, err.Error())
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, transport.ManifestInvalidErrorCode, "the manifest did not arrive as a whole")
		return
	}
	r = r.WithContext(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	h.inner.ServeHTTP(w, r)
}

// refuse answers with an error as the distribution spec has it, "Error codes".
func refuse(w http.ResponseWriter, status int, code transport.ErrorCode, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(transport.Error{Errors: []transport.Diagnostic{{Code: code, Message: message}}})
}
