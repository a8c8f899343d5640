package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClock(t *testing.T) {
	handler := clock(func() time.Time { return time.Unix(0, 0) })
	for query, want := range map[string]string{
		"/":                  "1970-01-01T00:00:00Z UTC\n",
		"/?zone=Asia/Tokyo":  "1970-01-01T09:00:00+09:00 Asia/Tokyo\n",
		"/?zone=Nowhere/One": "unknown time zone Nowhere/One\n",
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, query, nil))
		assert.Equal(t, want, w.Body.String())
		assert.Equal(t, query == "/?zone=Nowhere/One", w.Code == http.StatusNotFound)
	}
}
