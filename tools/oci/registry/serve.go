package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// grace is the time that requests have to finish when Serve ends. It is longer than the five
// seconds after which net/http closes connections that were opened but never used.
const grace = 10 * time.Second

// New returns a registry that needs no login. Blobs are stored in dir, or in memory if dir is "".
// Manifests are always in memory. All repositories share their blobs.
func New(dir string) http.Handler {
	blobs := registry.NewInMemoryBlobHandler()
	if dir != "" {
		blobs = registry.NewDiskBlobHandler(dir)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true),
		registry.WithBlobHandler(blobs))
	return completeManifests{&mounting{inner, blobs}}
}

// mounting adds the mounting of blobs from another repository, which go-containerregistry's
// registry does not support and docker manifest push needs; see "Mounting a blob from another
// repository" in the distribution specification.
type mounting struct {
	http.Handler
	blobs registry.BlobHandler
}

func (m *mounting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	repo, isUpload := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v2/"), "/blobs/uploads/")
	digest, err := v1.NewHash(r.URL.Query().Get("mount"))
	blobs, knows := m.blobs.(registry.BlobStatHandler)
	if r.Method != http.MethodPost || !isUpload || err != nil || !knows {
		m.Handler.ServeHTTP(w, r)
		return
	}
	if _, err := blobs.Stat(r.Context(), repo, digest); err != nil {
		m.Handler.ServeHTTP(w, r) // starts an upload instead
		return
	}
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+digest.String())
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.WriteHeader(http.StatusCreated)
}

// Serve runs the registry of New on l until ctx ends, and closes l. It only accepts requests for
// names of this machine, since anyone may push to it. It returns nil if ctx ended and all requests
// finished.
func Serve(ctx context.Context, l net.Listener, dir string) error {
	server := &http.Server{
		Handler:           local{New(dir)},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	// http.Server.Serve returns as soon as Shutdown begins, so wait for the remaining requests here.
	stopped := make(chan error, 1)
	release := context.AfterFunc(ctx, func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		stopped <- server.Shutdown(limited)
	})
	err := server.Serve(l)
	if release() {
		return errors.Join(fmt.Errorf("serving the registry on %s: %w", l.Addr(), err), server.Close())
	}
	if err := <-stopped; err != nil {
		return errors.Join(fmt.Errorf("stopping the registry on %s: %w", l.Addr(), err), server.Close())
	}
	return nil
}
