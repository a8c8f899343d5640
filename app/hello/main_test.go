package main

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHello(t *testing.T) {
	handler := hello("linux/arm64")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, "Hello. I am a Go service running on linux/arm64\n", w.Body.String())

	w = httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/elsewhere", nil))
	assert.Equal(t, http.StatusNotFound, w.Code)
}

func TestName(t *testing.T) {
	for _, c := range []struct{ arch, key, value, want string }{
		{"arm64", "GOARM64", "v8.0", "linux/arm64"},
		{"arm", "GOARM", "7", "linux/arm/v7"},
		{"arm", "GOARM", "6,softfloat", "linux/arm/v6"},
		{"amd64", "GOAMD64", "v1", "linux/amd64"},
		{"amd64", "GOAMD64", "v3", "linux/amd64/v3"},
		{"s390x", "", "", "linux/s390x"},
	} {
		assert.Equal(t, c.want, name("linux", c.arch, map[string]string{c.key: c.value}))
	}
	assert.True(t, strings.HasPrefix(platform(), runtime.GOOS+"/"+runtime.GOARCH))
}
