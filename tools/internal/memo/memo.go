// Package memo computes values once and shares them between goroutines. Unlike sync.OnceValues, it does not keep
// errors: after a failed computation, the next call computes the value again.
package memo

import "sync"

// Map holds one value per key. The zero Map is empty and ready to use.
type Map[K comparable, V any] struct {
	mu      sync.Mutex
	results map[K]*result[V]
}

// result is a value, or an error, that is available when done is closed.
type result[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// Get returns the value of a key. The first call computes it with compute, and concurrent calls share its result. If
// compute panics, only its caller panics: the waiting calls compute the value again.
func (m *Map[K, V]) Get(key K, compute func() (V, error)) (V, error) {
	for {
		m.mu.Lock()
		r, ok := m.results[key]
		if !ok {
			r = &result[V]{done: make(chan struct{})}
			if m.results == nil {
				m.results = map[K]*result[V]{}
			}
			m.results[key] = r
			m.mu.Unlock()
			return m.run(key, r, compute)
		}
		m.mu.Unlock()
		<-r.done
		if r.err != errPanicked {
			return r.value, r.err
		}
	}
}

// Forget removes the value of a key.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.results, key)
}

func (m *Map[K, V]) run(key K, r *result[V], compute func() (V, error)) (V, error) {
	r.err = errPanicked
	defer func() {
		if r.err != nil {
			m.mu.Lock()
			if m.results[key] == r {
				delete(m.results, key)
			}
			m.mu.Unlock()
		}
		close(r.done)
	}()
	r.value, r.err = compute()
	return r.value, r.err
}

type panicked struct{}

func (panicked) Error() string { return "the computation panicked" }

var errPanicked error = panicked{}

// Value is a single value. The zero Value is ready to use.
type Value[V any] struct{ m Map[struct{}, V] }

// Get returns the value. See Map.Get.
func (v *Value[V]) Get(compute func() (V, error)) (V, error) { return v.m.Get(struct{}{}, compute) }

// Func returns a function that calls compute until it succeeds, and then always returns that value.
func Func[V any](compute func() (V, error)) func() (V, error) {
	var v Value[V]
	return func() (V, error) { return v.Get(compute) }
}
