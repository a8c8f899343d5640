package run

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// ParseVolume reads HOST:CONTAINER, with :ro behind it for a volume that cannot be written to.
func ParseVolume(text string) (Volume, error) {
	rest, readOnly := strings.CutSuffix(text, ":ro")
	source, target, ok := strings.Cut(strings.TrimSuffix(rest, ":rw"), ":")
	if !ok || source == "" || !path.IsAbs(target) {
		return Volume{}, fmt.Errorf("invalid volume %q: expected HOST:CONTAINER with an absolute CONTAINER", text)
	}
	target = path.Clean(target)
	for _, own := range []string{"/proc", "/dev"} {
		if target == "/" || target == own || strings.HasPrefix(target, own+"/") {
			return Volume{}, fmt.Errorf("invalid volume %q: %s cannot be replaced", text, target)
		}
	}
	source, err := filepath.Abs(source)
	if err != nil {
		return Volume{}, err
	}
	if _, err := os.Stat(source); err != nil {
		return Volume{}, fmt.Errorf("invalid volume %q: %w", text, err)
	}
	return Volume{source, target, readOnly}, nil
}

// ParsePort reads [ADDRESS:]HOST:CONTAINER, and listens on the loopback interface unless an address is given.
func ParsePort(text string) (Port, error) {
	text = strings.TrimSuffix(text, "/tcp")
	invalid := fmt.Errorf("invalid port %q: expected HOST:CONTAINER, two TCP ports such as 8080:80", text)
	n := strings.LastIndex(text, ":")
	if n < 0 {
		return Port{}, invalid
	}
	address, host := "127.0.0.1", text[:n]
	if m := strings.LastIndex(host, ":"); m >= 0 {
		address, host = host[:m], host[m+1:]
	}
	for _, number := range []string{host, text[n+1:]} {
		if v, err := strconv.ParseUint(number, 10, 16); err != nil || v == 0 {
			return Port{}, invalid
		}
	}
	container, _ := strconv.Atoi(text[n+1:])
	return Port{address + ":" + host, container}, nil
}

// mountPoints makes the places that volumes are mounted on.
func (t *tree) mountPoints(volumes []Volume) error {
	for _, v := range volumes {
		if err := t.mountPoint(v); err != nil {
			return fmt.Errorf("creating mount point %s: %w", v.Target, err)
		}
	}
	return nil
}

func (t *tree) mountPoint(v Volume) error {
	source, err := os.Stat(v.Source)
	if err != nil {
		return err
	}
	at, err := t.follow(v.Target)
	if err != nil {
		return err
	}
	if there, err := t.root.Stat(at); err == nil && there.IsDir() != source.IsDir() {
		return errors.New("cannot mount a file on a directory, or a directory on a file")
	} else if err == nil {
		return nil
	}
	if source.IsDir() {
		return t.root.MkdirAll(at, 0o755)
	}
	if err := t.root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	return t.root.WriteFile(at, nil, 0o644)
}
