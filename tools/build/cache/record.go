package cache

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/multiarch-build/multiarch/tools/internal/atomicfile"
)

// A record file has three parts: the SHA-256 of the rest, the name of the record, and its value as
// JSON. The name is the hash of kind and key, so that a record copied over another one is not
// accepted for it.

// Put stores v as JSON under a kind and a key.
func (s *Store) Put(kind, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("caching a %s: %w", kind, err)
	}
	name := recordName(kind, key)
	body := append([]byte(name+"\n"), value...)
	sum := sha256.Sum256(body)
	return s.again(func() error {
		temp := s.path("tmp", "record-"+rand.Text())
		err := atomicfile.Stage(temp, 0o600, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%x\n%s", sum, body)
			return err
		})
		if err != nil {
			return s.failed(err)
		}
		return s.move(temp, s.path("records", name))
	})
}

// Get reads the value of a kind and a key into v. It returns false if it is missing, damaged or
// belongs to another key.
func (s *Store) Get(kind, key string, v any) bool {
	name := recordName(kind, key)
	value, ok := s.record(name)
	if !ok {
		return false
	}
	if json.Unmarshal(value, v) != nil {
		_ = os.Remove(s.path("records", name))
		return false
	}
	used(s.path("records", name))
	return true
}

// Forget removes the value of a kind and a key.
func (s *Store) Forget(kind, key string) { _ = os.RemoveAll(s.path("records", recordName(kind, key))) }

// record reads the value of a record. A damaged record is removed.
func (s *Store) record(name string) ([]byte, bool) {
	file := s.path("records", name)
	f, err := openEntry(file)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err == nil {
		want, body, _ := bytes.Cut(content, []byte("\n"))
		own, value, found := bytes.Cut(body, []byte("\n"))
		sum := sha256.Sum256(body)
		if found && string(want) == hex.EncodeToString(sum[:]) && string(own) == name {
			return value, true
		}
	}
	_ = os.RemoveAll(file)
	return nil, false
}

// recordName returns the file name of a record. It is a hash, since keys may contain any bytes.
func recordName(kind, key string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + key))
	return kind + "-" + hex.EncodeToString(sum[:])
}
