package rootfs

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is the version of the JSON and of the result of Apply. It changes whenever either does.
const Format = "multiarch-rootfs-1"

// dirJSON is a directory in JSON. encode has converted names and targets.
type dirJSON struct {
	Mode    uint32             `json:"mode"`
	UID     int                `json:"uid,omitempty"`
	GID     int                `json:"gid,omitempty"`
	ModTime time.Time          `json:"modTime,omitzero"`
	Xattrs  map[string]string  `json:"xattrs,omitempty"`
	Dirs    map[string]dirJSON `json:"dirs,omitempty"`
	Links   map[string]string  `json:"links,omitempty"`
	Others  []string           `json:"others,omitempty"`
	// Contents are the contents of /etc/passwd and /etc/group.
	Contents map[string]string `json:"contents,omitempty"`
}

// MarshalJSON returns the same bytes for equal trees.
func (t *Tree) MarshalJSON() ([]byte, error) { return json.Marshal(t.root.json()) }

func (n *Node) json() dirJSON {
	d := dirJSON{Mode: n.Mode, UID: n.UID, GID: n.GID, ModTime: n.ModTime}
	put := func(m *map[string]string, name, value string) {
		if *m == nil {
			*m = map[string]string{}
		}
		(*m)[encode(name)] = encode(value)
	}
	for name, value := range n.Xattrs {
		put(&d.Xattrs, name, value)
	}
	for _, name := range n.names() {
		switch child := n.children[name]; child.Kind {
		case Dir:
			if d.Dirs == nil {
				d.Dirs = map[string]dirJSON{}
			}
			d.Dirs[encode(name)] = child.json()
		case Symlink:
			put(&d.Links, name, child.Link)
		default:
			d.Others = append(d.Others, encode(name))
			if child.Content != "" {
				put(&d.Contents, name, child.Content)
			}
		}
	}
	return d
}

// UnmarshalJSON parses the output of MarshalJSON.
func (t *Tree) UnmarshalJSON(content []byte) error {
	var d dirJSON
	if err := json.Unmarshal(content, &d); err != nil {
		return err
	}
	root, err := d.node()
	if err != nil {
		return err
	}
	t.root = root
	return nil
}

func (d dirJSON) node() (*Node, error) {
	n := &Node{Kind: Dir, Mode: d.Mode, UID: d.UID, GID: d.GID, ModTime: d.ModTime, children: map[string]*Node{}}
	var err error
	if n.Xattrs, err = decodeMap(d.Xattrs); err != nil {
		return nil, err
	}
	links, err := decodeMap(d.Links)
	if err != nil {
		return nil, err
	}
	contents, err := decodeMap(d.Contents)
	if err != nil {
		return nil, err
	}
	for name, target := range links {
		n.children[name] = &Node{Kind: Symlink, Link: target}
	}
	for _, encoded := range d.Others {
		name, err := decode(encoded)
		if err != nil {
			return nil, err
		}
		n.children[name] = &Node{Content: contents[name]}
	}
	for encoded, child := range d.Dirs {
		name, err := decode(encoded)
		if err != nil {
			return nil, err
		}
		if n.children[name], err = child.node(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// encode encodes names that are not UTF-8, which JSON cannot represent. Names never contain NUL.
func encode(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, "\x00") {
		return s
	}
	return "\x00" + hex.EncodeToString([]byte(s))
}

func decode(s string) (string, error) {
	encoded, ok := strings.CutPrefix(s, "\x00")
	if !ok {
		return s, nil
	}
	b, err := hex.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("reading a listing: %w", err)
	}
	return string(b), nil
}

func decodeMap(m map[string]string) (map[string]string, error) {
	if m == nil {
		return nil, nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		key, err := decode(k)
		if err != nil {
			return nil, err
		}
		if out[key], err = decode(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
