// Package registrytest starts registries on loopback for tests: that of go-containerregistry in
// memory, Debian's docker-registry (distribution 2.8), and distribution 3. All of them can be
// restarted without losing data.
package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

// programs lists the registries that run as separate processes.
var programs = map[string]string{"distribution 2.8": "docker-registry", "distribution 3": "registry3"}

// Kinds returns the registries that Start supports.
func Kinds() []string { return []string{"go-containerregistry", "distribution 2.8", "distribution 3"} }

// Server is a registry that runs until the test ends.
type Server struct {
	// Host is the registry in references.
	Host string
	// Dir is the storage directory of distribution, or "" if the registry is in memory.
	Dir string

	t       testing.TB
	handler http.Handler // of an in-process registry
	server  *http.Server
	program []string // of a registry process
	process *exec.Cmd
	output  bytes.Buffer // of all its processes
}

// Start starts a registry. The test is skipped if the registry is not installed, unless
// MULTIARCH_TEST_TOOLS is "all".
func Start(t testing.TB, kind string) *Server {
	t.Helper()
	s := &Server{t: t, Host: Address(t)}
	if name, ok := programs[kind]; ok {
		s.Dir = t.TempDir()
		s.program = configure(t, name, s.Host, s.Dir)
	} else {
		s.handler = registry.New("")
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func configure(t testing.TB, program, address, dir string) []string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("MULTIARCH_TEST_TOOLS") == "all" {
			t.Fatalf("%s is missing, and MULTIARCH_TEST_TOOLS=all", program)
		}
		t.Skipf("%s is missing", program)
	}
	file := filepath.Join(t.TempDir(), "config.yml")
	config := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: %q, draintimeout: 1m}
`, dir, address)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{path, "serve", file}
}

// Restart stops the registry and starts it again after a delay. The registry in memory breaks all connections.
// Distribution completes the requests that it is handling: it truncates files before it writes them, so killing it can
// damage its storage in a way that no client can repair.
func (s *Server) Restart(down time.Duration) {
	s.t.Helper()
	if s.process != nil {
		if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Fatal(err)
		}
		_ = s.process.Wait()
		s.process = nil
	}
	s.stop()
	time.Sleep(down)
	s.start()
}

func (s *Server) start() {
	s.t.Helper()
	if s.handler != nil {
		l, err := net.Listen("tcp", s.Host)
		if err != nil {
			s.t.Fatal(err)
		}
		s.server = &http.Server{Handler: s.handler, ErrorLog: log.New(io.Discard, "", 0),
			ReadHeaderTimeout: time.Minute}
		go func() { _ = s.server.Serve(l) }()
	} else {
		s.process = exec.Command(s.program[0], s.program[1:]...)
		s.process.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
		s.process.Stderr = &s.output
		if err := s.process.Start(); err != nil {
			s.t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + s.Host + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			s.stop() // which completes the output
			s.t.Fatalf("%s does not answer: %v\n%s", s.program, err, &s.output)
		}
	}
}

func (s *Server) stop() {
	if s.server != nil {
		_ = s.server.Close()
	}
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
	}
	s.server, s.process = nil, nil
}
