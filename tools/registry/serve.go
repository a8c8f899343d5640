package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// grace is how long requests under way may take to finish once Serve is told to stop. It is longer than the five
// seconds after which net/http gives up on a connection that was opened and never used.
const grace = 10 * time.Second

// Serve runs a registry until ctx ends, on l, which the caller has opened and Serve closes. Blobs are kept in dir,
// manifests always in memory; where dir is "", everything is. A nil error means that ctx ended and no request was cut
// off.
func Serve(ctx context.Context, l net.Listener, dir string) error {
	opts := []registry.Option{registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)}
	if dir != "" {
		opts = append(opts, registry.WithBlobHandler(registry.NewDiskBlobHandler(dir)))
	}
	server := &http.Server{
		Handler:           registry.New(opts...),
		ReadHeaderTimeout: 10 * time.Second,
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
