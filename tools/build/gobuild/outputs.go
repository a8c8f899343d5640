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

// attempts is how often a compilation is started again because the cache was removed meanwhile.
const attempts = 3

// workPrefix begins the names of the folders that go commands write to.
const workPrefix = "new-"

// outputs are the programs of a request. The go command always writes to an empty work folder: an executable that is
// there already it would keep if its build ID is right, whatever else is wrong with it. What it wrote is measured and then
// moved to where it stays.
type outputs struct {
	store  *cache.Store
	folder string // of the request
	unit   string // its name
	work   string

	prepared []string

	slots map[int]string // the subfolder of each target
	names map[int]string
}

func (b *Builder) newOutputs(r Request) (*outputs, error) {
	o := &outputs{store: b.store, unit: b.unit(r), slots: map[int]string{}, names: map[int]string{}}
	var err error
	if o.folder, err = b.store.Folder(cache.ProgramsFolder, o.unit); err != nil {
		return nil, err
	}
	if o.work, err = os.MkdirTemp(o.folder, workPrefix); err != nil {
		return nil, &cache.UnusableError{Dir: b.store.Dir(), Err: err}
	}
	return o, nil
}

func (o *outputs) close() { _ = os.RemoveAll(o.work) }

// lost reports whether the work folder, or something in it, has been removed.
func (o *outputs) lost() bool {
	for _, dir := range append(o.prepared, o.work) {
		if _, err := os.Lstat(dir); err != nil {
			return true
		}
	}
	return false
}

// assign gives every target a subfolder in which no other program has its name. taken are the programs that stay.
func (o *outputs) assign(r Request, stale []int, names map[int]string, binaries []Binary) {
	taken := map[string]bool{}
	for i := range r.Targets {
		if binaries[i].Path != "" {
			taken[binaries[i].Path] = true
		}
	}
	for _, i := range stale {
		for n := 0; ; n++ {
			slot := strconv.Itoa(n)
			if path := filepath.Join(o.folder, slot, names[i]); !taken[path] {
				taken[path] = true
				o.slots[i], o.names[i] = slot, names[i]
				break
			}
		}
	}
}

func (o *outputs) slot(target int) string { return o.slots[target] }

// fresh is where the go command writes the program of a target.
func (o *outputs) fresh(target int) string {
	return filepath.Join(o.work, o.slots[target], o.names[target])
}

// prepare creates the folder of a slot and returns it as the go command takes it.
func (o *outputs) prepare(slot string) (string, error) {
	dir := filepath.Join(o.work, slot)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", &cache.UnusableError{Dir: o.store.Dir(), Err: err}
	}
	o.prepared = append(o.prepared, dir)
	return dir + string(filepath.Separator), nil
}

// seed copies the program of the last time to where the go command will write, if it is what its record says. The go
// command then has nothing to link if nothing has changed. If anything fails, the go command just makes it again.
func (o *outputs) seed(target int, last record) {
	from, err := openProgram(filepath.Join(o.folder, last.Slot, last.Name))
	if err != nil {
		return
	}
	defer from.Close()
	to, err := os.OpenFile(o.fresh(target), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), from)
	if err = errors.Join(err, to.Close()); err != nil || n != last.Size || hex.EncodeToString(sum.Sum(nil)) != last.SHA256 {
		_ = os.Remove(to.Name())
	}
}

// keep measures the program of a target and moves it to where it stays. It is not synced to disk first, because only its
// record is trusted, which has its digest.
func (o *outputs) keep(target int) (Binary, error) {
	binary, err := measure(o.fresh(target))
	if err != nil {
		return Binary{}, err
	}
	dir, err := o.store.Folder(cache.ProgramsFolder, o.unit, o.slots[target])
	if err != nil {
		return Binary{}, err
	}
	binary.Path = filepath.Join(dir, o.names[target])
	return binary, o.store.Replace(o.fresh(target), binary.Path)
}

// measure reads a program.
func measure(path string) (Binary, error) {
	f, err := openProgram(path)
	if err != nil {
		return Binary{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return Binary{path, n, hex.EncodeToString(h.Sum(nil))}, err
}

// openProgram opens a regular file: a pipe would block.
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

// sweep removes the work folders of builds that were killed. The caller holds the lock of the folder.
func sweep(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an interrupted build left: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), workPrefix) {
			if err := os.RemoveAll(filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("removing what an interrupted build left: %w", err)
			}
		}
	}
	return nil
}
