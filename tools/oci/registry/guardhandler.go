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

// local rejects requests that a web page can make a browser send: those with a foreign host name
// that resolves to loopback (DNS rebinding), and those from another origin.
type local struct{ inner http.Handler }

func (l local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !localName((&url.URL{Host: r.Host}).Hostname()) {
		refuse(w, http.StatusForbidden, transport.DeniedErrorCode,
			"this registry only accepts requests for localhost or its loopback address, not for "+r.Host)
		return
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
			refuse(w, http.StatusForbidden, transport.DeniedErrorCode, "requests from other origins are not allowed")
			return
		}
	}
	l.inner.ServeHTTP(w, r)
}

// localName reports whether a name can only refer to this machine.
func localName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// completeManifests accepts only manifests that arrived completely and are within the size limit of
// registries. The registry behind it would store partial ones.
type completeManifests struct{ inner http.Handler }

func (h completeManifests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		refuse(w, http.StatusBadRequest, transport.ManifestInvalidErrorCode, "the manifest is incomplete")
		return
	}
	r = r.WithContext(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	h.inner.ServeHTTP(w, r)
}

// refuse responds with an error in the form of the distribution specification, "Error codes".
func refuse(w http.ResponseWriter, status int, code transport.ErrorCode, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]transport.Diagnostic{"errors": {{Code: code, Message: message}}})
}
