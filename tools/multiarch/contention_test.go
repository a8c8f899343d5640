package main

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// contention makes commands that change the same tag collide, whatever the speed of the machine: all of them read the
// tag before the first one writes it. After that, only one command at a time sends requests, until it ends. Registries
// cannot update a tag conditionally, so without these turns a command that is slow enough could overwrite another one
// that has ended.
type contention struct {
	writers, writes sync.WaitGroup // that have not arrived, and that are not complete
	turn            sync.Mutex
}

// contender is a command.
type contender struct {
	*contention
	registry http.Handler

	mu             sync.Mutex
	wrote, hasTurn bool
}

// ServeHTTP passes a request of the command on to the registry.
func (c *contender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tag := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") &&
		!strings.Contains(r.URL.Path, "/manifests/sha256:")
	c.mu.Lock()
	first := tag && !c.wrote
	c.wrote = c.wrote || tag
	if c.wrote && !first && !c.hasTurn {
		c.turn.Lock()
		c.hasTurn = true
	}
	c.mu.Unlock()
	if !first {
		c.registry.ServeHTTP(w, r)
		return
	}
	c.writers.Done()
	c.writers.Wait()
	response := httptest.NewRecorder()
	c.registry.ServeHTTP(response, r)
	c.writes.Done()
	c.writes.Wait()
	maps.Copy(w.Header(), response.Header())
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes())
}

// leave ends the turn of the command.
func (c *contender) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.wrote { // it failed
		c.writers.Done()
		c.writes.Done()
	}
	if c.hasTurn {
		c.turn.Unlock()
	}
}

// contend runs index create with the arguments of each command, which change the same tag of a registry, and requires
// that all of them succeed. Each command reaches the registry at another address.
func contend(t *testing.T, dir, registry string, commands ...func(host string) []string) {
	t.Helper()
	var all contention
	all.writers.Add(len(commands))
	all.writes.Add(len(commands))
	var group sync.WaitGroup
	for _, args := range commands {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
		proxy.ErrorLog = log.New(io.Discard, "", 0)
		one := &contender{contention: &all, registry: proxy}
		server := httptest.NewUnstartedServer(one)
		server.Config.ErrorLog = proxy.ErrorLog // commands try HTTPS first
		server.Start()
		t.Cleanup(server.Close)
		group.Go(func() {
			defer one.leave()
			together(t, dir, args(strings.TrimPrefix(server.URL, "http://")))
		})
	}
	group.Wait()
}
