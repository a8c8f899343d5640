package run

import (
	"debug/elf"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/cpu"

	"github.com/multiarch-build/multiarch/tools/arch"
)

// host is what waysToRun needs to know about the machine.
type host struct {
	os, arch string
	// level reports whether the CPU supports a variant of its own architecture.
	level func(variant string) bool
	// find returns the path of a program, as exec.LookPath does.
	find func(name string) (string, error)
}

func thisHost() host {
	return host{runtime.GOOS, runtime.GOARCH, hasLevel, exec.LookPath}
}

// hasLevel checks the microarchitecture levels of the x86-64 psABI, as far as x/sys/cpu knows them, and the
// requirements of GOARM.
func hasLevel(variant string) bool {
	x, a := &cpu.X86, &cpu.ARM
	switch runtime.GOARCH + "/" + variant {
	case "amd64/v4":
		return hasLevel("v3") && x.HasAVX512F && x.HasAVX512BW && x.HasAVX512CD && x.HasAVX512DQ && x.HasAVX512VL
	case "amd64/v3":
		return hasLevel("v2") && x.HasAVX && x.HasAVX2 && x.HasBMI1 && x.HasBMI2 && x.HasFMA
	case "amd64/v2":
		return x.HasCX16 && x.HasPOPCNT && x.HasSSSE3 && x.HasSSE41 && x.HasSSE42
	case "arm/v7":
		return a.HasVFPv3
	case "arm/v6":
		return a.HasVFP
	}
	return true
}

// way is one way in which this machine may run a platform's programs.
type way struct {
	emulator string      // "" natively
	static   bool        // the emulator needs no files but itself
	header   arch.Header // of the emulator
}

// waysToRun lists what is worth trying, best first: the processor itself, then the first static emulator, which is all
// that works in another root, then one that needs the host's libraries.
func waysToRun(row arch.Row, h host) []way {
	var ways []way
	switch h.os + "/" + h.arch + " runs " + row.OS + "/" + row.Architecture {
	case h.os + "/" + row.Go.Arch + " runs " + h.os + "/" + h.arch:
		if h.level(row.Variant) {
			ways = append(ways, way{})
		}
	case "linux/amd64 runs linux/386", "linux/arm64 runs linux/arm":
		ways = append(ways, way{}) // most CPUs can; the kernel refuses on others
	}
	if row.QEMU.Name == "" {
		return ways
	}
	var dynamic []way
	for _, name := range []string{"qemu-" + row.QEMU.Name + "-static", "qemu-" + row.QEMU.Name} {
		path, err := h.find(name)
		if err != nil {
			continue
		}
		w, err := examine(path)
		if err != nil {
			continue // a script around an emulator cannot be taken along
		}
		if w.static {
			return append(ways, w)
		}
		dynamic = append(dynamic, w)
	}
	return append(ways, dynamic...)
}

func examine(emulator string) (way, error) {
	f, err := os.Open(emulator)
	if err != nil {
		return way{}, err
	}
	defer f.Close()
	loader, err := loaderOf(f)
	if err != nil {
		return way{}, err
	}
	head := make([]byte, arch.HeaderSize)
	n, _ := f.ReadAt(head, 0)
	header, _ := arch.ReadHeader(head[:n])
	return way{emulator, loader == "", header}, nil
}

// fits reports whether the way works in an isolation.
func (w way) fits(i isolation) bool {
	if i == shared {
		return w.emulator != ""
	}
	return w.emulator == "" || w.static
}

func (w way) info(i isolation, prog *program, o Options) Info {
	info := Info{Mode: Native, Emulator: w.emulator, Private: i != shared}
	if len(o.Publish) > 0 {
		info.Notes = append(info.Notes,
			"the program runs in its own network: only published ports reach it, and it reaches nothing")
	} else if prog.privileged && i != private {
		info.Notes = append(info.Notes,
			"this user cannot open ports below 1024; publish them instead, such as --publish 8080:80")
	}
	if w.emulator != "" {
		info.Mode = Emulated
	}
	if info.Private {
		return info
	}
	info.Notes = append(info.Notes, "the program is not isolated: it sees this machine's files if the image lacks them")
	if !w.static {
		info.Notes = append(info.Notes,
			w.emulator+" is dynamically linked; a static one (Debian: qemu-user-static) allows isolation")
	}
	if prog.userSpec != "" {
		info.Notes = append(info.Notes, "the image's user "+prog.userSpec+" is ignored: the program runs as the current user")
	}
	return info
}

// loaderOf returns the dynamic loader of an ELF file (its PT_INTERP), or "" if it is static.
func loaderOf(f *os.File) (string, error) {
	file, err := elf.NewFile(f)
	if err != nil {
		return "", err
	}
	for _, p := range file.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, min(p.Filesz, 4096))
		n, err := p.ReadAt(name, 0)
		if n == 0 {
			return "", err
		}
		return string(name[:max(0, n-1)]), nil // it ends with a zero byte
	}
	return "", nil
}
