package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tree is a Go module with small services and a multiarch.yaml that lists them.
type tree struct {
	dir       string
	services  int
	platforms []platform
}

const (
	moduleFile = "module bench.example/services\n\ngo 1.24\n"

	// webFile is a package used by all services.
	webFile = `// Package web serves one page until it is stopped.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

type reply struct {
	Service  string    ` + "`json:\"service\"`" + `
	Edition  string    ` + "`json:\"edition\"`" + `
	Platform string    ` + "`json:\"platform\"`" + `
	Time     time.Time ` + "`json:\"time\"`" + `
}

// Serve listens on PORT until the process is stopped.
func Serve(service, edition string) {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply{service, edition, runtime.GOOS + "/" + runtime.GOARCH, time.Now()})
	})
	server := &http.Server{Addr: ":" + port, Handler: mux, ReadHeaderTimeout: time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { _ = server.Shutdown(context.Background()) })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
`
)

// newTree writes the services into dir.
func newTree(dir string, services int, platforms []platform) (*tree, error) {
	t := &tree{dir, services, platforms}
	err := errors.Join(
		t.write("go.mod", moduleFile),
		t.write("internal/web/web.go", webFile),
		t.write("multiarch.yaml", manifest(services, platforms)),
	)
	for n := 1; n <= services; n++ {
		err = errors.Join(err, t.edit(n, "first"))
	}
	if err != nil {
		return nil, fmt.Errorf("writing the services: %w", err)
	}
	return t, nil
}

// edit changes the source of a service. Every edition results in a different program.
func (t *tree) edit(n int, edition string) error {
	return t.write(fmt.Sprintf("svc%d/main.go", n), fmt.Sprintf(`package main

import "bench.example/services/internal/web"

func main() { web.Serve("svc%d", edition) }

const edition = %q
`, n, edition))
}

func (t *tree) write(name, content string) error {
	file := filepath.Join(t.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}

// packages returns the packages of the services as arguments for the go command and ko.
func (t *tree) packages() []string {
	var all []string
	for n := 1; n <= t.services; n++ {
		all = append(all, fmt.Sprintf("./svc%d", n))
	}
	return all
}

func (t *tree) file() string { return filepath.Join(t.dir, "multiarch.yaml") }

// manifest returns a multiarch.yaml for services, which need not exist to be planned.
func manifest(services int, platforms []platform) string {
	var b strings.Builder
	b.WriteString("version: 1\nplatforms:\n")
	for _, p := range platforms {
		fmt.Fprintf(&b, "  - %s\n", p.Name)
	}
	b.WriteString("images:\n")
	for n := 1; n <= services; n++ {
		fmt.Fprintf(
			&b,
			"  svc%d:\n    go: {package: ./svc%d, ldflags: [%s]}\n    base: static\n",
			n,
			n,
			strings.Join(linkerFlags(), ", "),
		)
	}
	return b.String()
}
