package debian

import "fmt"

// InvalidPackageError is returned for a package that cannot be read, or that contains something that a layer must not
// have.
type InvalidPackageError struct {
	Package string // name and version
	Path    string // file in the package, "" for the package itself
	Reason  string
}

func (e *InvalidPackageError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("package %s: %s", e.Package, e.Reason)
	}
	return fmt.Sprintf("package %s: %q: %s", e.Package, e.Path, e.Reason)
}

// Hint suggests what to do.
func (e *InvalidPackageError) Hint() string {
	return "exclude the package, or use a mirror that has Debian's own build of it"
}

// ConflictError is returned for two packages that disagree about a path.
type ConflictError struct {
	Path string
	A, B string // what each package has
}

func (e *ConflictError) Error() string { return fmt.Sprintf("%s: %s, but %s", e.Path, e.A, e.B) }

// Hint suggests what to do.
func (e *ConflictError) Hint() string { return "exclude one of the two packages" }
