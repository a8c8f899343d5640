package verify

import "encoding/json"

// MapMemory is a Memory for tests. Like a cache on disk, it stores JSON.
type MapMemory map[string][]byte

// Get implements Memory.
func (m MapMemory) Get(kind, key string, v any) bool {
	raw, ok := m[kind+" "+key]
	return ok && json.Unmarshal(raw, v) == nil
}

// Put implements Memory.
func (m MapMemory) Put(kind, key string, v any) error {
	raw, err := json.Marshal(v)
	m[kind+" "+key] = raw
	return err
}
