package tools_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the picture of the README")

// plan is the part of `multiarch plan --json` that the picture shows.
type plan struct {
	Images []struct {
		Name     string
		Children []struct {
			Platform string
			Base     struct {
				Name, Builtin string
				Debian        *struct{ Architecture string }
				Image         *struct{ Digest string }
			}
			Files, Directories, Links []any
			Go                        *struct{ Package, Path string }
		}
		Push struct {
			Repository  string
			Tags        []string
			PerPlatform string
		}
	}
}

// TestPictureIsCurrent compares the picture of the README with the plan of images/multiarch.yaml. It leaves out what
// changes with every update of the lock file: packages and digests.
func TestPictureIsCurrent(t *testing.T) {
	const file = "../images/multiarch.svg"
	out, err := exec.Command("go", "run", "./multiarch", "plan", "--json", "-f", "../images/multiarch.yaml").Output()
	require.NoError(t, err)
	var p plan
	require.NoError(t, json.Unmarshal(out, &p))
	got := drawPlan(p)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run: go test ./tools -run TestPictureIsCurrent -update")
}

const (
	rowHeight  = 17
	titleSpace = 28
	layerWidth = 92
)

// drawing writes SVG elements. Colours are in classes, which the style sheet defines for light and dark mode.
type drawing struct{ strings.Builder }

func (d *drawing) box(class string, x, y, w, h int) {
	fmt.Fprintf(d, "<rect class=%q x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n", class, x, y, w, h)
}

func (d *drawing) text(class string, x, y int, text string) {
	fmt.Fprintf(d, "<text class=%q x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, html.EscapeString(text))
}

func (d *drawing) arrow(x1, y1, x2, y2 int) {
	middle := (x1 + x2) / 2
	fmt.Fprintf(d, "<path class=\"arrow\" marker-end=\"url(#head)\" d=\"M%d %d C%d %d %d %d %d %d\"/>\n", x1, y1, middle,
		y1, middle, y2, x2, y2)
}

// layer is a layer of one platform's image. Equal keys on different platforms mean the same blob.
type layer struct{ class, label, key string }

func drawPlan(p plan) string {
	var d drawing
	height := 50
	for _, i := range p.Images {
		height += titleSpace + len(i.Children)*rowHeight + 22
	}
	middle := 34 + (height-50)/2

	const yamlX, planX, engineX, indexX, registryX, width = 12, 190, 346, 560, 934, 1154
	fmt.Fprintf(&d, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"From "+
		"multiarch.yaml to the registry\">\n%s", width, height, style)
	for _, column := range []struct {
		x     int
		title string
	}{
		{yamlX, "multiarch.yaml"},
		{planX, "plan"},
		{engineX, "two engines"},
		{indexX, "one index per image (green: shared layers)"},
		{registryX, "registry"},
	} {
		d.text("title", column.x, 20, column.title)
	}

	// multiarch.yaml and the plan: images, and what they become.
	cardHeight := 20 + 44*len(p.Images)
	top := middle - cardHeight/2
	d.box("card", yamlX, top, 142, cardHeight)
	d.box("card", planX, top, 122, cardHeight)
	for n, i := range p.Images {
		y := top + 26 + 44*n
		first := i.Children[0]
		d.text("strong", yamlX+12, y, i.Name)
		source := "files"
		if first.Go != nil {
			source = first.Go.Package
		}
		d.text("muted", yamlX+12, y+16, source+" on "+first.Base.Name)
		d.text("strong", planX+12, y, i.Name)
		d.text("muted", planX+12, y+16, fmt.Sprintf("%d platforms", len(i.Children)))
	}
	d.arrow(yamlX+142, middle, planX, middle)

	// The engines.
	for n, engine := range [][2]string{{"embedded", "multiarch build"}, {"Bazel", "bazel build //images:all"}} {
		y := middle - 84 + 104*n
		d.box("engine", engineX, y, 168, 64)
		d.text("strong", engineX+12, y+26, engine[0])
		d.text("muted", engineX+12, y+46, engine[1])
		d.arrow(planX+122, middle, engineX, y+32)
		d.arrow(engineX+168, y+32, indexX, middle)
	}

	// The indexes and where they go.
	y := 34
	for _, i := range p.Images {
		h := titleSpace + len(i.Children)*rowHeight + 10
		d.box("card", indexX, y, 330, h)
		d.text("strong", indexX+12, y+19, i.Name)
		rows := y + titleSpace
		var columns [][]layer
		for n, c := range i.Children {
			d.text("row", indexX+12, rows+n*rowHeight+12, c.Platform)
			child := []layer{{"shared", c.Base.Name, c.Base.Builtin}}
			if c.Base.Debian != nil {
				child[0] = layer{"own", c.Base.Name, c.Base.Debian.Architecture}
			}
			if c.Base.Image != nil {
				child[0] = layer{"own", c.Base.Name, c.Base.Image.Digest}
			}
			if len(c.Files)+len(c.Directories)+len(c.Links) > 0 {
				child = append(child, layer{"shared", "files", fmt.Sprint(c.Files, c.Directories, c.Links)})
			}
			if c.Go != nil {
				child = append(child, layer{"own", path.Base(c.Go.Path), c.Platform})
			}
			columns = append(columns, child)
		}
		for start := 0; start < len(columns); {
			end := start + 1
			for end < len(columns) && len(columns[end]) == len(columns[start]) {
				end++
			}
			for n := range columns[start] {
				drawColumn(&d, indexX+130+n*(layerWidth+6), rows, columns, start, end, n)
			}
			start = end
		}

		d.arrow(indexX+330, y+h/2, registryX, y+h/2)
		tags := len(i.Push.Tags)
		ownHeight := 44 + 18*tags
		if i.Push.PerPlatform != "" {
			ownHeight += 18
		}
		own := y + h/2 - ownHeight/2
		d.box("card", registryX, own, 208, ownHeight)
		_, repository, _ := strings.Cut(i.Push.Repository, "/")
		d.text("strong", registryX+12, own+24, repository)
		for n, tag := range i.Push.Tags {
			d.text("row", registryX+12, own+46+18*n, ":"+tag)
		}
		if i.Push.PerPlatform != "" {
			d.text("muted", registryX+12, own+46+18*tags, "and a repository per platform")
		}
		y += h + 12
	}
	d.WriteString("</svg>\n")
	return d.String()
}

// drawColumn draws the nth layers of the platforms from start to end: one box for those that are the same blob.
func drawColumn(d *drawing, x, rows int, platforms [][]layer, start, end, n int) {
	for first := start; first < end; {
		last := first + 1
		for last < end && reflect.DeepEqual(platforms[last][n], platforms[first][n]) {
			last++
		}
		l := platforms[first][n]
		class := "own"
		if last-first > 1 {
			class = "shared"
		}
		y, h := rows+first*rowHeight, (last-first)*rowHeight-2
		d.box(class, x, y, layerWidth, h)
		d.text("label "+class+"-label", x+layerWidth/2, y+h/2+4, l.label)
		first = last
	}
}

const style = `<style>
text { font: 13px -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: #1f2328; }
.title { font-size: 14px; fill: #59636e; }
.strong { font-weight: 600; }
.muted, .row { font-size: 12px; }
.muted { fill: #59636e; }
.label { font-size: 11px; text-anchor: middle; }
.card { fill: #f6f8fa; stroke: #d1d9e0; }
.engine { fill: #fff8c5; stroke: #d4a72c; }
.own { fill: #ddf4ff; stroke: #54aeff; }
.shared { fill: #1a7f37; stroke: #1a7f37; }
.shared-label { fill: #ffffff; }
.arrow { fill: none; stroke: #818b98; stroke-width: 1.5; }
.head { fill: #818b98; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.title, .muted { fill: #9198a1; }
.card { fill: #151b23; stroke: #3d444d; }
.engine { fill: #332a0a; stroke: #9e6a03; }
.own { fill: #0c2d4d; stroke: #1f6feb; }
.shared { fill: #238636; stroke: #238636; }
.shared-label { fill: #ffffff; }
.arrow { stroke: #9198a1; }
.head { fill: #9198a1; }
}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>
`
