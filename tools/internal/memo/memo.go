// Package memo computes values once and shares them between goroutines. Unlike sync.OnceValues it never remembers a
// failure: whoever asks after a failed call computes the value again.
package memo

import "sync"

// Map holds one value per key. The zero Map is empty and ready to use.
type Map[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Get returns the value of a key. The first caller computes it with compute, and callers that come meanwhile share its
// result. A panic of compute counts as a failure for nobody else: waiting callers compute again.
func (m *Map[K, V]) Get(key K, compute func() (V, error)) (V, error) {
	for {
		m.mu.Lock()
		c, running := m.calls[key]
		if !running {
			c = &call[V]{done: make(chan struct{})}
			if m.calls == nil {
				m.calls = map[K]*call[V]{}
			}
			m.calls[key] = c
			m.mu.Unlock()
			return m.run(key, c, compute)
		}
		m.mu.Unlock()
		<-c.done
		if c.err != errPanicked {
			return c.value, c.err
		}
	}
}

// Forget drops the value of a key.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, key)
}

func (m *Map[K, V]) run(key K, c *call[V], compute func() (V, error)) (V, error) {
	c.err = errPanicked
	defer func() {
		if c.err != nil {
			m.mu.Lock()
			if m.calls[key] == c {
				delete(m.calls, key)
			}
			m.mu.Unlock()
		}
		close(c.done)
	}()
	c.value, c.err = compute()
	return c.value, c.err
}

type panicked struct{}

func (panicked) Error() string { return "the computation panicked" }

var errPanicked error = panicked{}

// Value is a single value. The zero Value is ready to use.
type Value[V any] struct{ m Map[struct{}, V] }

// Get returns the value. See Map.Get.
func (v *Value[V]) Get(compute func() (V, error)) (V, error) { return v.m.Get(struct{}{}, compute) }

// Func returns a function that calls compute until it succeeds once, and returns that result from then on.
func Func[V any](compute func() (V, error)) func() (V, error) {
	var v Value[V]
	return func() (V, error) { return v.Get(compute) }
}
