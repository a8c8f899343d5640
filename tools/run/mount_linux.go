package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// enter makes s.Root this process's root, with the file systems that programs expect in it. The process must be the
// first of its mount and process namespaces.
func enter(s spec) error {
	syscall.Umask(0)
	defer syscall.Umask(0o022) // as container engines start programs
	if err := unix.Sethostname([]byte("multiarch")); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := mount(s.Root, s.Root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	proc := filepath.Join(s.Root, "proc")
	if err := mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		// Within a container whose own /proc has parts covered, only that one can be shown.
		if mount("/proc", proc, "", unix.MS_BIND|unix.MS_REC, "") != nil {
			return err
		}
	}
	if err := devices(filepath.Join(s.Root, "dev")); err != nil {
		return err
	}
	for _, v := range s.Mounts {
		if err := bindVolume(v.Source, filepath.Join(s.Root, v.Target), v.ReadOnly); err != nil {
			return err
		}
	}
	if s.OwnNetwork {
		if err := furnishNetwork(proc); err != nil {
			return err
		}
	}
	if s.Emulator != "" {
		if err := bindFile(s.Emulator, filepath.Join(s.Root, emulatorPath)); err != nil {
			return err
		}
	}
	if err := pivot(s.Root); err != nil {
		return err
	}
	if s.Register && s.Isolation == privateUsers {
		// Kernels before 6.7 have one table for all namespaces and refuse; then only the program itself is emulated.
		_ = register(s.Header)
	}
	return nil
}

// devices fills a fresh /dev with the devices that every program may expect. OCI runtime spec, "Default Devices".
func devices(dev string) error {
	if err := mount("tmpfs", dev, "tmpfs", unix.MS_NOSUID|unix.MS_STRICTATIME, "mode=755,size=65536k"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := bindFile("/dev/"+name, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd":     "/proc/self/fd",
		"stdin":  "fd/0",
		"stdout": "fd/1",
		"stderr": "fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	return os.Mkdir(filepath.Join(dev, "shm"), 0o777|os.ModeSticky)
}

func bindFile(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		return err
	}
	return mount(source, target, "", unix.MS_BIND, "")
}

// bindVolume mounts a file or directory of this machine.
func bindVolume(source, target string, readOnly bool) error {
	if err := mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || !readOnly {
		return err
	}
	// What another mount namespace has forbidden must stay so.
	var at unix.Statfs_t
	if err := unix.Statfs(target, &at); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	const kept = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME
	return mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|uintptr(at.Flags)&kept, "")
}

// pivot makes dir, a mount point, the root and takes the old root away.
func pivot(dir string) error {
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("entering the image's root: %w", err)
	}
	switch err := unix.PivotRoot(".", "."); {
	case err == nil:
		// The old root now lies over the new one. pivot_root(2), "pivot_root(".", ".")".
		if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting the machine's root: %w", err)
		}
	case errors.Is(err, unix.EINVAL):
		// The machine's root is an initial RAM disk, which cannot be taken away, but covered.
		if err := mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return err
		}
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("changing the root: %w", err)
		}
	default:
		return fmt.Errorf("changing the root: %w", err)
	}
	return unix.Chdir("/")
}

func mount(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	return nil
}

// register tells the kernel, for this user namespace only, to start ELF files of header h with the emulator. Linux
// admin guide, "Kernel Support for miscellaneous Binary Formats".
func register(h arch.Header) error {
	const dir = "/proc/sys/fs/binfmt_misc"
	if err := mount("binfmt_misc", dir, "binfmt_misc", 0, ""); err != nil {
		return err
	}
	class, data := byte(2), byte(1)
	if h.Bits == 32 {
		class = 1
	}
	kind, machine := []byte{2, 0}, []byte{byte(h.Machine), byte(h.Machine >> 8)}
	kindMask := []byte{0xfe, 0xff} // executables, and what is linked like a library
	if h.Order == arch.Big {
		data = 2
		kind, machine, kindMask = []byte{0, 2}, []byte{machine[1], machine[0]}, []byte{0xff, 0xfe}
	}
	magic := append([]byte{0x7f, 'E', 'L', 'F', class, data, 1}, make([]byte, 9)...)
	mask := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, make([]byte, 9)...) // any ABI
	magic = append(append(magic, kind...), machine...)
	mask = append(append(mask, kindMask...), 0xff, 0xff)
	// F opens the emulator now, P keeps the name that the program is called by.
	line := fmt.Sprintf(":multiarch:M:0:%s:%s:%s:FP", escape(magic), escape(mask), emulatorPath)
	return os.WriteFile(dir+"/register", []byte(line), 0)
}

func escape(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		fmt.Fprintf(&s, `\x%02x`, c)
	}
	return s.String()
}
