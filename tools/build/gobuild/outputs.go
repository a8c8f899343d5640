package gobuild

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/multiarch-build/multiarch/tools/build/cache"
)

// attempts is how often targets are compiled if the cache is removed in the meantime.
const attempts = 3

// workPrefix is the prefix of the directories that go commands write to.
const workPrefix = "new-"

// outputs manages the programs of a request. The go command writes to an empty work directory, because it keeps an
// existing program with the right build ID even if the program is damaged. Programs are then hashed and moved to the
// directory of the request.
type outputs struct {
	store      *cache.Store
	dir        string // of the request
	requestDir string // name of dir
	workDir    string

	slotDirs []string // created in workDir

	slots map[int]string // subdirectory of each target
	names map[int]string // program of each target
}

func (b *Builder) newOutputs(r Request) (*outputs, error) {
	o := &outputs{store: b.store, requestDir: b.requestDir(r), slots: map[int]string{}, names: map[int]string{}}
	var err error
	if o.dir, err = b.store.Folder(cache.ProgramsFolder, o.requestDir); err != nil {
		return nil, err
	}
	if o.workDir, err = os.MkdirTemp(o.dir, workPrefix); err != nil {
		return nil, &cache.UnusableError{Dir: b.store.Dir(), Err: err}
	}
	return o, nil
}

func (o *outputs) close() { _ = os.RemoveAll(o.workDir) }

// removed reports whether the work directory, or a directory in it, has been removed.
func (o *outputs) removed() bool {
	for _, dir := range append(o.slotDirs, o.workDir) {
		if _, err := os.Lstat(dir); err != nil {
			return true
		}
	}
	return false
}

// assignSlots assigns every stale target a subdirectory in which no other program has the same name. The programs of
// other targets keep their paths.
func (o *outputs) assignSlots(r Request, stale []int, names map[int]string, binaries []Binary) {
	taken := map[string]bool{}
	for i := range r.Targets {
		if binaries[i].Path != "" {
			taken[binaries[i].Path] = true
		}
	}
	for _, i := range stale {
		for n := 0; ; n++ {
			slot := strconv.Itoa(n)
			if path := filepath.Join(o.dir, slot, names[i]); !taken[path] {
				taken[path] = true
				o.slots[i], o.names[i] = slot, names[i]
				break
			}
		}
	}
}

func (o *outputs) slot(target int) string { return o.slots[target] }

// workFile returns the path that the go command writes the program of a target to.
func (o *outputs) workFile(target int) string {
	return filepath.Join(o.workDir, o.slots[target], o.names[target])
}

// makeSlot creates the directory of a slot in the work directory and returns it as a value for the -o flag.
func (o *outputs) makeSlot(slot string) (string, error) {
	dir := filepath.Join(o.workDir, slot)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", &cache.UnusableError{Dir: o.store.Dir(), Err: err}
	}
	o.slotDirs = append(o.slotDirs, dir)
	return dir + string(filepath.Separator), nil
}

// copyLast copies the last program of a target to the work directory if it matches its record. The go command then
// skips linking if nothing has changed. Errors are ignored, because the go command then links the program.
func (o *outputs) copyLast(target int, last record) {
	from, err := openProgram(filepath.Join(o.dir, last.Slot, last.Name))
	if err != nil {
		return
	}
	defer from.Close()
	to, err := os.OpenFile(o.workFile(target), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), from)
	err = errors.Join(err, to.Close())
	if err != nil || n != last.Size || hex.EncodeToString(sum.Sum(nil)) != last.SHA256 {
		_ = os.Remove(to.Name())
	}
}

// install hashes the program of a target and moves it to its final path. It does not sync the program to disk, because
// the digest in the record detects damage.
func (o *outputs) install(target int) (Binary, error) {
	binary, err := readBinary(o.workFile(target))
	if err != nil {
		return Binary{}, err
	}
	dir, err := o.store.Folder(cache.ProgramsFolder, o.requestDir, o.slots[target])
	if err != nil {
		return Binary{}, err
	}
	binary.Path = filepath.Join(dir, o.names[target])
	return binary, o.store.Replace(o.workFile(target), binary.Path)
}

// readBinary reads a program and returns its size and digest.
func readBinary(path string) (Binary, error) {
	f, err := openProgram(path)
	if err != nil {
		return Binary{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return Binary{path, n, hex.EncodeToString(h.Sum(nil))}, err
}

// openProgram opens a program. It rejects anything but regular files, because reading a pipe could block.
func openProgram(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: %w", path, fs.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// removeLeftovers removes the work directories of builds that were killed. The caller holds the lock of the directory.
func removeLeftovers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing leftovers of an interrupted build: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workPrefix) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("removing leftovers of an interrupted build: %w", err)
			}
		}
	}
	return nil
}
