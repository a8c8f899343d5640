package run

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// isolation is what separates a program from the machine.
type isolation int

const (
	// shared is nothing but a process group: the program sees the machine's files.
	shared isolation = iota
	// private is a root and namespaces for mounts, processes, IPC and the host name.
	private
	// privateUsers is private with a user namespace, so that not even its root has a right outside.
	privateUsers
)

// emulatorPath is the path of an emulator in a private root: in /dev, which is never the image's own.
const emulatorPath = "/dev/.multiarch/qemu"

// spec is what the first process of an isolation, Init, is told to do.
type spec struct {
	Isolation isolation
	// Root is the tree's directory, or "" to stay in the machine's root.
	Root string
	// Emulator is the host's emulator that appears at emulatorPath.
	Emulator string
	// Register is whether to register the emulator with the kernel for files with Header, so that child processes are
	// emulated as well.
	Register bool
	Header   arch.Header

	// OwnNetwork is whether the program has its own network namespace. Connections to it arrive on portsFile.
	OwnNetwork bool
	// Mounts are volumes, with targets relative to Root.
	Mounts []Volume

	Path string
	Args []string
	Env  []string
	Dir  string
	// UID, GID and Groups are who the program runs as, unless KeepUser is set.
	KeepUser bool
	UID, GID int
	Groups   []int
}

func newSpec(t *tree, prog *program, row arch.Row, w way, i isolation, o Options) (spec, error) {
	s := spec{
		Isolation:  i,
		OwnNetwork: len(o.Publish) > 0,
		Path:       prog.path,
		Args:       prog.args,
		Env:        prog.env,
		Dir:        prog.dir,
		UID:        prog.user.Uid,
		GID:        prog.user.Gid,
		Groups:     prog.user.Sgids,
	}
	for _, v := range o.Volumes {
		at, err := t.follow(v.Target)
		if err != nil {
			return spec{}, err
		}
		s.Mounts = append(s.Mounts, Volume{v.Source, at, v.ReadOnly})
	}
	if i != shared {
		s.Root = t.dir
		// Without the right to all IDs, the one that the namespace has is the program's from the beginning.
		s.KeepUser = !t.owners
	} else {
		s.KeepUser = true
		program, err := t.follow(prog.path)
		if err != nil {
			return spec{}, err
		}
		dir, err := t.follow(prog.dir)
		if err != nil {
			return spec{}, err
		}
		s.Path, s.Dir = filepath.Join(t.dir, program), filepath.Join(t.dir, dir)
	}
	if w.emulator == "" {
		return s, nil
	}

	if _, set := lookup(s.Env, "QEMU_CPU"); !set {
		if cpu := cmp.Or(os.Getenv("QEMU_CPU"), row.QEMU.CPU); cpu != "" {
			s.Env = append(slices.Clone(s.Env), "QEMU_CPU="+cpu)
		}
	}
	emulator, options := emulatorPath, []string{"-0", s.Args[0]}
	if i == shared {
		emulator, options = w.emulator, append(options, "-L", t.dir)
	} else {
		s.Emulator = w.emulator
		// An emulator that was itself a file to be emulated would call for itself without end.
		s.Register, s.Header = w.header != row.Header, row.Header
	}
	s.Args = slices.Concat([]string{emulator}, options, []string{s.Path}, s.Args[1:])
	s.Path = emulator
	return s, nil
}
