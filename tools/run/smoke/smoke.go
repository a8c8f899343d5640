// Package smoke tests built images before they are released. It starts an image's program with package run, natively or
// under qemu-user, and compares its exit code, its output or its answer to an HTTP request with what multiarch.yaml
// expects.
package smoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/internal/fault"
	"github.com/multiarch-build/multiarch/tools/run"
)

// Check describes a smoke test.
type Check struct {
	// Args, if not nil, replaces the image's cmd.
	Args []string
	// Env is added to the image's environment, NAME=value.
	Env []string
	// Exit is the expected exit code. Stdout, if not nil, has to match the standard output.
	Exit   int
	Stdout *regexp.Regexp
	// Timeout limits the whole test; zero means one minute.
	Timeout time.Duration
	// HTTP, if not nil, is a request that the program has to answer. Exit and Stdout are ignored then.
	HTTP *HTTP
}

// HTTP is a request and the expected response.
type HTTP struct {
	Path   string         // "" for /
	Port   int            // of this machine, whose network the program has
	Status int            // 0 for 200
	Body   *regexp.Regexp // nil for any
}

// Error is returned if a program fails its test.
type Error struct {
	Image    string
	Platform arch.Platform
	// Problem describes what was expected and what happened.
	Problem string
	// Output is the end of what the program wrote to its standard output and error, or to the one that was compared.
	Output string
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s, %s: smoke test: %s", e.Image, e.Platform, e.Problem)
	if e.Output == "" {
		return text + "; no output"
	}
	return text + "; output:\n" + e.Output
}

// Hint returns a command that reproduces the failure.
func (e *Error) Hint() string {
	return fmt.Sprintf("reproduce it with: multiarch run %s --platform %s", e.Image, e.Platform)
}

// UnableError is returned if this machine cannot run programs of the platform.
type UnableError struct {
	Image    string
	Platform arch.Platform
	Err      error
}

func (e *UnableError) Error() string {
	return fmt.Sprintf("%s, %s: smoke test: %s", e.Image, e.Platform, e.Err)
}
func (e *UnableError) Unwrap() error { return e.Err }

// Hint tells how to run or skip the platform.
func (e *UnableError) Hint() string {
	leave := fmt.Sprintf("skip the platform: smoke: {skip: [%s]}", e.Platform)
	if hint := fault.HintOf(e.Err); hint != "" {
		return hint + "; or " + leave
	}
	return leave
}

// PortError is returned if another program listens on the port of a smoke test.
type PortError struct {
	Port int
	Err  error
}

func (e *PortError) Error() string {
	return fmt.Sprintf("port %d is in use: %s", e.Port, e.Err)
}
func (e *PortError) Unwrap() error { return e.Err }

// Hint tells how to free the port.
func (e *PortError) Hint() string {
	return "stop the program that uses it, or choose another port: smoke: {env: {PORT: ...}, http: {port: ...}}"
}

// Tester runs smoke tests. It may be used concurrently. The zero value is ready to use.
type Tester struct {
	// starting is held while an image is unpacked and its program started: a process that another one's start makes
	// meanwhile would hold a program open that is being written, and the kernel runs no such program.
	starting sync.Mutex

	mu    sync.Mutex
	ports map[int]*sync.Mutex // each is held by the program that may listen on the port
}

// port is held by the program that may listen on port n.
func (t *Tester) port(n int) *sync.Mutex {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ports == nil {
		t.ports = map[int]*sync.Mutex{}
	}
	if t.ports[n] == nil {
		t.ports[n] = &sync.Mutex{}
	}
	return t.ports[n]
}

// Run tests the image of one platform. name is its name in messages. The error is an *Error if the program fails the
// test, and an *UnableError if this machine cannot run it. Programs that listen on the same port run one after another.
//
// The program's main must call run.Init before anything else.
func (t *Tester) Run(ctx context.Context, name string, img v1.Image, p arch.Platform, c Check) error {
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	if c.HTTP != nil {
		port := t.port(c.HTTP.Port)
		port.Lock()
		defer port.Unlock()
		if err := free(c.HTTP.Port); err != nil {
			return fmt.Errorf("%s, %s: smoke test: %w", name, p, err)
		}
	}
	var out, both tail
	t.starting.Lock()
	limited, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	process, err := run.Start(limited, run.Options{
		Image: img, Platform: p, Args: c.Args, Env: c.Env, Stdout: io.MultiWriter(&out, &both), Stderr: &both,
		Grace: 2 * time.Second,
	})
	t.starting.Unlock()
	switch {
	case cannot(err):
		return &UnableError{name, p, err}
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return &Error{name, p, fmt.Sprintf("did not start within %v", c.Timeout), ""}
	case err != nil:
		return &Error{name, p, err.Error(), ""}
	}
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := process.Wait()
		ended <- end{code, err}
	}()
	problem, output := "", &both
	if c.HTTP != nil {
		asking, stop := context.WithCancel(limited)
		answer := make(chan string, 1)
		go func() { answer <- c.HTTP.ask(asking, c.Timeout) }()
		select {
		case problem = <-answer:
			cancel()
			<-ended
		case e := <-ended:
			// It may have answered and ended at once: what it sent is read to its end.
			select {
			case problem = <-answer:
			case <-time.After(10 * pollEvery):
				stop()
				problem = <-answer
			}
			if problem != "" && limited.Err() == nil {
				problem = fmt.Sprintf("exited with code %d before it answered", e.code)
			}
		}
		stop()
	} else {
		e := <-ended
		switch {
		case e.err != nil && ctx.Err() == nil:
			return fmt.Errorf("%s, %s: smoke test: %w", name, p, e.err)
		case limited.Err() != nil:
			problem = fmt.Sprintf("did not exit within %v", c.Timeout)
		case e.code != c.Exit:
			problem = fmt.Sprintf("exited with code %d, want %d", e.code, c.Exit)
		case c.Stdout != nil && !c.Stdout.Match(out.content()):
			problem = fmt.Sprintf("stdout does not match %q", written(c.Stdout))
			if output = &out; len(out.content()) == 0 {
				problem, output = fmt.Sprintf("stdout is empty and does not match %q", written(c.Stdout)), &both
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if problem != "" {
		return &Error{name, p, problem, output.last(20)}
	}
	return nil
}

// cannot reports whether err means that this machine cannot run programs of the platform.
func cannot(err error) bool {
	var system *run.PlatformError
	var emulator *run.EmulatorError
	var root *run.PrivateRootError
	return errors.As(err, &system) || errors.As(err, &emulator) || errors.As(err, &root)
}

// written returns a pattern as its author wrote it, without the flag that lets ^ and $ match at lines.
func written(r *regexp.Regexp) string { return strings.TrimPrefix(r.String(), "(?m)") }

// free checks that no other program would answer.
func free(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return &PortError{port, err}
	}
	return l.Close()
}

// pollEvery is the interval between requests to a program that does not listen yet.
const pollEvery = 50 * time.Millisecond

// ask sends requests until there is a response, and returns what is wrong with it.
func (h HTTP) ask(ctx context.Context, timeout time.Duration) (problem string) {
	path, status := h.Path, h.Status
	if path == "" {
		path = "/"
	}
	if status == 0 {
		status = http.StatusOK
	}
	url := fmt.Sprintf("http://127.0.0.1:%d%s", h.Port, path)
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for {
		code, body, err := get(ctx, &client, url)
		switch {
		case err == nil && code != status && code != http.StatusServiceUnavailable:
			return fmt.Sprintf("GET %s: got status %d, want %d: %s", url, code, status,
				strings.TrimSpace(string(body[:min(len(body), 500)])))
		case err == nil && code == status && h.Body != nil && !h.Body.Match(body):
			return fmt.Sprintf("GET %s: body does not match %q: %s", url, written(h.Body),
				strings.TrimSpace(string(body[:min(len(body), 500)])))
		case err == nil && code == status:
			return ""
		}
		select {
		case <-ctx.Done():
			return fmt.Sprintf("GET %s: no response with status %d within %v", url, status, timeout)
		case <-time.After(pollEvery):
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) (code int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, keep))
	return resp.StatusCode, body, err
}

// keep is how many bytes of a program's output are kept.
const keep = 1 << 20

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if len(t.buf) > 2*keep {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-keep:]...)
	}
	return len(p), nil
}

func (t *tail) content() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf)
}

// last returns the last lines.
func (t *tail) last(lines int) string {
	all := strings.Split(strings.TrimRight(string(t.content()), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
