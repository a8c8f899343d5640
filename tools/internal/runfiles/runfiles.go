// Package runfiles starts the multiarch command with arguments that a Bazel rule has written for it.
//
// Executables of //tools/rules are the multiarch command under another name, with a launch file beside them. So they
// work no matter who runs them: bazel run, bazel test, another rule such as rules_multirun, or a shell. Files that the
// arguments name are found in the runfiles of the executable, which are a directory, or a manifest as on Windows.
package runfiles

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ending is what the name of a launch file has after the name of the executable.
const ending = ".launch.json"

// Launch is the content of a launch file.
type Launch struct {
	// Args are the arguments of the command.
	Args []string

	directory string            // of the runfiles; "" if there is only a manifest
	manifest  map[string]string // absolute paths by path in the runfiles
}

// file is a launch file. Paths are relative to the runfiles.
type file struct {
	Self string `json:"self"`
	Args []struct {
		Text string `json:"text"` // %s is replaced with the path of File
		File string `json:"file"`
	} `json:"args"`
}

// Find returns the content of an executable's launch file, or nil if it has none. Pass os.Args[0] as the executable:
// os.Executable follows symbolic links, which Bazel creates.
func Find(executable string) (*Launch, error) {
	if !strings.ContainsAny(executable, `/\`) {
		if found, err := exec.LookPath(executable); err == nil {
			executable = found
		}
	}
	executable, err := filepath.Abs(executable)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(executable + ending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f file
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", executable+ending, err)
	}
	l, err := locate(executable, f.Self)
	if err != nil {
		return nil, err
	}
	for _, a := range f.Args {
		text := a.Text
		if a.File != "" {
			path, err := l.Path(a.File)
			if err != nil {
				return nil, err
			}
			text = strings.Replace(text, "%s", path, 1)
		}
		l.Args = append(l.Args, text)
	}
	return l, nil
}

// Path returns the absolute path of a file in the runfiles.
func (l *Launch) Path(name string) (string, error) {
	if l.directory != "" {
		return filepath.Join(l.directory, filepath.FromSlash(name)), nil
	}
	path, ok := l.manifest[name]
	if !ok {
		return "", fmt.Errorf("finding %s: it is not in the manifest of the runfiles", name)
	}
	return path, nil
}

// locate finds the runfiles of an executable, which contain its launch file under the name self.
func locate(executable, self string) (*Launch, error) {
	directories := []string{executable + ".runfiles"}
	// Another rule may run an executable that is in its own runfiles.
	for dir := filepath.Dir(executable); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if strings.HasSuffix(dir, ".runfiles") {
			directories = append(directories, dir)
		}
	}
	if dir := os.Getenv("RUNFILES_DIR"); dir != "" {
		directories = append(directories, dir)
	}
	for _, dir := range directories {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(self))); err == nil {
			return &Launch{directory: dir}, nil
		}
	}
	manifests := []string{executable + ".runfiles_manifest"}
	for _, dir := range directories {
		manifests = append(manifests, filepath.Join(dir, "MANIFEST"))
	}
	if name := os.Getenv("RUNFILES_MANIFEST_FILE"); name != "" {
		manifests = append(manifests, name)
	}
	for _, name := range manifests {
		content, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if paths := parse(string(content)); paths[self] != "" {
			return &Launch{manifest: paths}, nil
		}
	}
	return nil, &MissingError{Executable: executable}
}

// unescape are the escapes of manifest lines that start with a space.
var unescape = strings.NewReplacer(`\s`, " ", `\n`, "\n", `\b`, `\`)

// parse parses a manifest: lines with a path in the runfiles and, after a space, an absolute path.
func parse(content string) map[string]string {
	paths := map[string]string{}
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, "\r\n")
		escaped := strings.HasPrefix(line, " ")
		name, path, ok := strings.Cut(strings.TrimPrefix(line, " "), " ")
		if !ok {
			continue
		}
		if escaped {
			name, path = unescape.Replace(name), unescape.Replace(path)
		}
		paths[name] = path
	}
	return paths
}

// MissingError is returned if an executable has a launch file, but no runfiles.
type MissingError struct{ Executable string }

func (e *MissingError) Error() string {
	return "finding the runfiles of " + e.Executable + ": none found"
}

// Hint returns how to run it.
func (e *MissingError) Hint() string {
	return "run it with bazel run, or where Bazel built it: bazel-bin/images/push.exe"
}
