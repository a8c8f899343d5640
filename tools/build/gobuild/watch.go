package gobuild

import (
	"bytes"
	"strings"
	"sync"
)

// compileWatch reads the stderr of `go build -v` and reports the packages named there.
type compileWatch struct {
	report func(Status)

	mu     sync.Mutex
	status Status
	line   []byte // an incomplete line
}

// watchCompile reports that the stale targets are being compiled. It returns nil if the request has no Report function.
func watchCompile(r Request, stale []int) *compileWatch {
	if r.Report == nil {
		return nil
	}
	w := &compileWatch{report: r.Report, status: Status{Targets: targetNames(r, stale)}}
	w.report(w.status)
	return w
}

// Write receives output of the go command.
func (w *compileWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, p...)
	for {
		line, rest, complete := bytes.Cut(w.line, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		w.parse(string(line))
		w.line = rest
	}
}

// parse reports the package or module that a line names. It may mistake a line of a compiler error for a package, which
// only affects the progress display.
func (w *compileWatch) parse(line string) {
	switch module, downloading := strings.CutPrefix(line, "go: downloading "); {
	case downloading:
		w.status.Newest = "downloading " + module
	case line == "" || strings.ContainsAny(line, " \t\r:#"):
		return
	default:
		w.status.Packages++
		w.status.Newest = line
	}
	w.report(w.status)
}

func (w *compileWatch) done() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Done = true
	w.report(w.status)
}

// withoutPackageLines removes the lines that -v adds to the output of the go command: the names of compiled packages,
// which depend on its cache.
func (l listing) withoutPackageLines(stderr string) string {
	var kept strings.Builder
	for line := range strings.Lines(stderr) {
		// " [program]" follows the name of a package that is compiled with the profile of a program.
		path, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " [")
		if _, listed := l.packages[path]; !listed {
			kept.WriteString(line)
		}
	}
	return kept.String()
}
