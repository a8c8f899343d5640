package inspect

import (
	"bytes"
	"fmt"
	"io"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/multiarch-build/multiarch/tools/arch"
	"github.com/multiarch-build/multiarch/tools/examine/internal/display"
)

// shortDigest is the number of hex digits of a digest in a table, as in the output of docker.
const shortDigest = 12

// FormatDigest returns the first hex digits of a digest, or all of it.
func FormatDigest(h v1.Hash, full bool) string {
	if full || len(h.Hex) <= shortDigest {
		return h.String()
	}
	return h.Hex[:shortDigest]
}

// Table writes r as a table of at most 80 columns: a line per child in index order, and one with the totals. Sizes are
// in powers of ten, as in the output of docker. Full digests make the table wider.
func (r *Report) Table(w io.Writer, fullDigests bool) error {
	var out bytes.Buffer
	t := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "PLATFORM\tDIGEST\tSIZE\tLAYERS\tSHARED")
	for _, c := range r.Children {
		digest := FormatDigest(c.Digest, fullDigests)
		if c.Missing {
			fmt.Fprintf(t, "%s\t%s\tmissing\t-\t-\n", r.title(c), digest)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", r.title(c), digest, display.Size(c.Size), len(c.Layers), c.shared())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	platforms := "platforms"
	if r.Totals.Platforms == 1 {
		platforms = "platform"
	}
	fmt.Fprintf(&out, "%d %s, %s in all, %s unique\n",
		r.Totals.Platforms, platforms, display.Size(r.Totals.Bytes), display.Size(r.Totals.Unique))
	_, err := w.Write(out.Bytes())
	return err
}

func (r *Report) title(c Child) string {
	switch {
	case c.AttestationOf != "":
		for _, other := range r.Children {
			if other.Digest.String() == c.AttestationOf {
				return "attestation of " + r.title(Child{Platform: other.Platform, MediaType: other.MediaType})
			}
		}
		return "attestation"
	case c.MediaType.IsIndex():
		return "index"
	case c.Platform == arch.Platform{}:
		return "no platform"
	}
	return display.OneLine(c.Platform.String())
}

// shared returns the number and size of the layers that other children have, too.
func (c Child) shared() string {
	var size int64
	counted := map[v1.Hash]bool{}
	for _, l := range c.Layers {
		if l.Children > 1 && !counted[l.Digest] {
			counted[l.Digest] = true
			size += l.Size
		}
	}
	if len(counted) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%s)", len(counted), display.Size(size))
}
