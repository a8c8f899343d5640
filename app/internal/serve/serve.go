// Package serve runs an HTTP service the way a container runtime expects: it listens where PORT says, and shuts down
// cleanly when it is asked to.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// grace is how long open requests may take to finish.
const grace = 10 * time.Second

// Main serves handler on the port that the environment variable PORT names (8080 by default, 0 for any that is free)
// until SIGTERM or SIGINT, and returns the program's exit code.
func Main(name string, handler http.Handler) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	if err := run(ctx, os.Stderr, name, port, handler); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// run serves until ctx ends, and then finishes what is under way.
func run(ctx context.Context, stderr io.Writer, name, port string, handler http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(stderr, name+": ", 0)}
	fmt.Fprintf(stderr, "%s: listening on %s\n", name, l.Addr())
	finished := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		finished <- server.Shutdown(ending)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-finished
}
