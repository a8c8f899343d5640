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

// grace is how long requests under way may take to finish once Serve is told to stop. It is longer than the five
// seconds after which net/http gives up on a connection that was opened and never used.
const grace = 10 * time.Second

// New returns a registry that asks nobody who they are. Blobs are kept in dir, manifests always in memory; where dir is
// "", everything is. All repositories share their blobs.
func New(dir string) http.Handler {
	blobs := registry.NewInMemoryBlobHandler()
	if dir != "" {
		blobs = registry.NewDiskBlobHandler(dir)
	}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true), registry.WithBlobHandler(blobs))
	return whole{&mounting{inner, blobs}}
}

// mounting adds the one request to go-containerregistry's registry that it does not know, and without which docker
// manifest push fails: to mount a blob from another repository. Distribution spec, "Mounting a blob from another
// repository".
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
		m.Handler.ServeHTTP(w, r) // an upload begins instead
		return
	}
	w.Header().Set("Location", "/v2/"+repo+"/blobs/"+digest.String())
	w.Header().Set("Docker-Content-Digest", digest.String())
	w.WriteHeader(http.StatusCreated)
}

// Serve runs the registry of New until ctx ends, on l, which the caller has opened and Serve closes. It answers only
// requests that name this machine, since anyone may push to it. A nil error means that ctx ended and no request was cut
// off.
func Serve(ctx context.Context, l net.Listener, dir string) error {
	server := &http.Server{
		Handler:           local{New(dir)},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	// The server's Serve returns as soon as Shutdown begins, so the requests under way are waited for here.
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
