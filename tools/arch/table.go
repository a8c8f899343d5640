package arch

import "encoding/json"

// Row describes one platform. All other facts about platforms are derived from it.
type Row struct {
	Platform

	// Official is the prefix of Docker's official images (arm64v8/busybox) and the suffix of the
	// classic procedure (py-app-arm64v8). See "Architectures other than amd64" at
	// github.com/docker-library/official-images.
	Official string
	// Debian is dpkg's architecture name, or "" if Debian has no port.
	Debian string
	// Triplet is the GNU triplet of Debian's cross compiler (<Triplet>-gcc), or "" if there is
	// none.
	Triplet string
	// Go selects the target of the go command.
	Go Go
	// Header is the header of executables of this platform.
	Header Header
	// QEMU selects the emulator of qemu-user; it is zero if there is none.
	QEMU QEMU
}

// MarshalJSON returns the row as an object. Without it, MarshalText of the embedded Platform would
// be used.
func (r Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Platform Platform `json:"platform"`
		Official string   `json:"official"`
		Debian   string   `json:"debian,omitempty"`
		Triplet  string   `json:"triplet,omitempty"`
		Go       []string `json:"go"`
		Header   Header   `json:"header"`
		QEMU     string   `json:"qemu,omitempty"`
	}{r.Platform, r.Official, r.Debian, r.Triplet, r.Go.Environ(), r.Header, r.QEMU.Name})
}

// Go selects a target of the go command. Level is set if the architecture has levels, so that the
// surrounding environment (GOARM, GOAMD64, ...) cannot change what is built. See `go help
// environment`.
type Go struct {
	OS, Arch string
	Level    EnvVar
}

// EnvVar is an environment variable.
type EnvVar struct{ Name, Value string }

// QEMU names an emulator of qemu-user: the program is qemu-<Name>, or qemu-<Name>-static.
type QEMU struct {
	Name string
	// CPU is passed as QEMU_CPU if the emulator's default lacks required features or is needlessly
	// slow.
	CPU string
}

// table is ordered. Image indexes and reports list platforms in this order. The plain platform of
// an architecture precedes its variants, because older clients take the first entry that fits.
var table = []Row{
	{Platform{"linux", "amd64", ""}, "amd64", "amd64", "x86_64-linux-gnu", goTarget("linux", "amd64", "GOAMD64",
		"v1"), elf64(62, Little), QEMU{"x86_64", "max"}},
	{Platform{"linux", "amd64", "v2"}, "amd64v2", "amd64", "x86_64-linux-gnu", goTarget("linux", "amd64", "GOAMD64",
		"v2"), elf64(62, Little), QEMU{"x86_64", "max"}},
	{Platform{"linux", "amd64", "v3"}, "amd64v3", "amd64", "x86_64-linux-gnu", goTarget("linux", "amd64", "GOAMD64",
		"v3"), elf64(62, Little), QEMU{"x86_64", "max"}},
	{Platform{"linux", "amd64", "v4"}, "amd64v4", "amd64", "x86_64-linux-gnu", goTarget("linux", "amd64", "GOAMD64",
		"v4"), elf64(62, Little), QEMU{}}, // qemu has no AVX-512
	{Platform{"linux", "arm64", ""}, "arm64v8", "arm64", "aarch64-linux-gnu", goTarget("linux", "arm64", "GOARM64",
		"v8.0"), elf64(183, Little), QEMU{"aarch64", "cortex-a57"}},
	{Platform{"linux", "arm", "v7"}, "arm32v7", "armhf", "arm-linux-gnueabihf", goTarget("linux", "arm", "GOARM",
		"7"), elf32(40, Little), QEMU{"arm", ""}},
	{Platform{"linux", "arm", "v6"}, "arm32v6", "", "", goTarget("linux", "arm", "GOARM", "6"), elf32(40, Little),
		QEMU{"arm", ""}},
	{Platform{"linux", "arm", "v5"}, "arm32v5", "armel", "arm-linux-gnueabi", goTarget("linux", "arm", "GOARM",
		"5"), elf32(40, Little), QEMU{"arm", ""}},
	{Platform{"linux", "386", ""}, "i386", "i386", "i686-linux-gnu", goTarget("linux", "386", "GO386", "sse2"),
		elf32(3, Little), QEMU{"i386", ""}},
	{Platform{"linux", "ppc64le", ""}, "ppc64le", "ppc64el", "powerpc64le-linux-gnu", goTarget("linux", "ppc64le",
		"GOPPC64", "power8"), elf64(21, Little), QEMU{"ppc64le", ""}},
	{Platform{"linux", "s390x", ""}, "s390x", "s390x", "s390x-linux-gnu", goTarget("linux", "s390x", "", ""),
		elf64(22, Big), QEMU{"s390x", ""}},
	{Platform{"linux", "riscv64", ""}, "riscv64", "riscv64", "riscv64-linux-gnu", goTarget("linux", "riscv64",
		"GORISCV64", "rva20u64"), elf64(243, Little), QEMU{"riscv64", ""}},
	{Platform{"linux", "mips64le", ""}, "mips64le", "mips64el", "mips64el-linux-gnuabi64", goTarget("linux",
		"mips64le", "GOMIPS64", "hardfloat"), elf64(8, Little), QEMU{"mips64el", ""}},
	{Platform{"linux", "mips", ""}, "mips", "", "mips-linux-gnu", goTarget("linux", "mips", "GOMIPS", "hardfloat"),
		elf32(8, Big), QEMU{"mips", ""}},
	{Platform{"linux", "loong64", ""}, "loong64", "loong64", "loongarch64-linux-gnu", goTarget("linux", "loong64",
		"", ""), elf64(258, Little), QEMU{"loongarch64", ""}},
	{Platform{"windows", "amd64", ""}, "windows-amd64", "", "x86_64-w64-mingw32", goTarget("windows", "amd64",
		"GOAMD64", "v1"), pe(0x8664), QEMU{}},
	{Platform{"windows", "arm64", ""}, "windows-arm64", "", "", goTarget("windows", "arm64", "GOARM64", "v8.0"),
		pe(0xaa64), QEMU{}},
}

// LibraryDir returns the name of the directory in /lib and /usr/lib in which Debian keeps the
// platform's libraries, or "" if Debian has no compiler for it. It equals the triplet except on
// i386, whose compiler is named after a later processor. See wiki.debian.org/Multiarch/Tuples.
func (r Row) LibraryDir() string {
	if r.Debian == "i386" {
		return "i386-linux-gnu"
	}
	return r.Triplet
}

// Table returns a copy of the rows in table order.
func Table() []Row { return append([]Row(nil), table...) }

// Find returns the row of a canonical platform.
func Find(p Platform) (Row, bool) {
	for _, r := range table {
		if r.Platform == p {
			return r, true
		}
	}
	return Row{}, false
}

// Order returns the position of p in the table, or the length of the table if p is not in it.
func Order(p Platform) int {
	for i, r := range table {
		if r.Platform == p {
			return i
		}
	}
	return len(table)
}

// Environ returns the variables that make the go command build for the row, in the form of
// os.Environ.
func (g Go) Environ() []string {
	env := []string{"GOOS=" + g.OS, "GOARCH=" + g.Arch}
	if g.Level.Name != "" {
		env = append(env, g.Level.Name+"="+g.Level.Value)
	}
	return env
}

func goTarget(os, arch, level, value string) Go { return Go{os, arch, EnvVar{level, value}} }

func elf64(machine uint16, order ByteOrder) Header { return Header{ELF, machine, 64, order} }
func elf32(machine uint16, order ByteOrder) Header { return Header{ELF, machine, 32, order} }
func pe(machine uint16) Header                     { return Header{PE, machine, 64, Little} }
