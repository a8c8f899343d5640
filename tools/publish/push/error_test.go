package push_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/multiarch-build/multiarch/tools/oci/content/contenttest"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
	"github.com/multiarch-build/multiarch/tools/publish/internal/faulty"
	"github.com/multiarch-build/multiarch/tools/publish/push"
)

// Blobs uploaded before the failure are reported, although no manifest refers to them yet.
func TestErrorListsUploads(t *testing.T) {
	base := contenttest.NewLayer(t, "base", 1_000_000)
	l := newLoopback(t, nil)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64)
	config, err := contenttest.ChildOf(t, hello, contenttest.AMD64).ConfigName()
	require.NoError(t, err)
	l.Choose(faulty.Every("HEAD /v2/hello/blobs/"+config.String(), faulty.Status(http.StatusUnauthorized)))
	_, err = publish(t, registry.Client{Jobs: 1}, target(l, hello, "latest"))
	var partial *push.Error
	require.ErrorAs(t, err, &partial)
	require.Len(t, partial.Uploaded, 1)
	assert.Equal(t, push.Uploaded{Repository: l.host + "/hello", Blobs: 2, Bytes: partial.Uploaded[0].Bytes},
		partial.Uploaded[0])
	assert.ErrorContains(t, err, "; uploaded before that: "+l.host+
		"/hello (2 blobs of 1.01MB); no manifest was uploaded; tags not moved: "+l.host+"/hello:latest")
	l.Choose(nil)
	_, err = publish(t, quick, target(l, hello, "latest"))
	require.NoError(t, err)
}

func TestErrorIsShort(t *testing.T) {
	pushed := func(from, to int, form string) (all []push.Artifact) {
		for n := from; n < to; n++ {
			all = append(all, push.Artifact{Reference: fmt.Sprintf(form, n)})
		}
		return all
	}
	uploaded := func(n int) (all []push.Uploaded) {
		for i := range n {
			all = append(all, push.Uploaded{Repository: fmt.Sprintf("example.com/%d", i), Blobs: 2, Bytes: 600e6})
		}
		return append(all, push.Uploaded{Repository: "example.org/team/x", Blobs: 1, Bytes: 999})
	}
	wrong := errors.New("wrong")
	for _, c := range []struct {
		err  push.Error
		want string
	}{
		{push.Error{}, "wrong; no manifest was uploaded"},
		{
			push.Error{Uploaded: uploaded(1)},
			"wrong; uploaded before that: example.com/0 (2 blobs of 600MB), example.org/team/x (1 blob of 999B); " +
				"no manifest was uploaded",
		},
		{push.Error{Uploaded: uploaded(8), Stored: pushed(0, 1, "a/b@sha256:%d")},
			"wrong; uploaded before that: example.com (16 blobs of 4.8GB in 8 repositories), " +
				"example.org (1 blob of 999B in one repository); stored by digest: a/b@sha256:0"},
		{push.Error{Stored: append(pushed(0, 8, "example.com/a@sha256:%d"), pushed(0, 1, "example.com/b@sha256:%d")...)},
			"wrong; stored by digest: example.com/a (8 manifests), example.com/b (1 manifest)"},
		{
			push.Error{Stored: pushed(0, 300, "example.com/%d@sha256:0")},
			"wrong; stored by digest: example.com (300 manifests in 300 repositories)",
		},
		{push.Error{Unmoved: pushed(0, 3, "a:%d")}, "wrong; no manifest was uploaded; tags not moved: a:0, a:1, a:2"},
		{
			push.Error{Unmoved: pushed(0, 300, "a:%d")},
			"wrong; no manifest was uploaded; tags not moved: a:0, a:1, a:2, a:3, a:4, a:5, a:6 and 293 others",
		},
		{
			push.Error{Moved: pushed(0, 2, "a:%d"), Unknown: pushed(2, 3, "a:%d")},
			"wrong; no manifest was uploaded; tags moved: a:0, a:1; tags in an unknown state: a:2",
		},
	} {
		c.err.Err = wrong
		assert.EqualError(t, &c.err, c.want)
	}
}

// The hint names the registry, even if another host issues its tokens.
func TestHintNamesTheRegistry(t *testing.T) {
	tokenServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"token": "t"}`))
	}))
	defer tokenServer.Close()
	elsewhere := strings.Replace(tokenServer.URL, "127.0.0.1", "localhost", 1)
	closed := newLoopback(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer t" {
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test"`, elsewhere))
			w.WriteHeader(http.StatusUnauthorized)
		})
	})
	hint := func(err error) string {
		var partial *push.Error
		require.ErrorAs(t, err, &partial)
		return partial.Hint()
	}
	base := contenttest.NewLayer(t, "base", 5000)
	hello := contenttest.Service(t, "hello", []v1.Layer{base}, contenttest.AMD64)
	login := func(host string) string {
		return fmt.Sprintf("log in with multiarch login %s (or docker login %s)", host, host)
	}

	dockerConfig(t, "{}")
	_, err := publish(t, quick, target(closed, hello, "latest"))
	assert.ErrorContains(t, err, "GET "+elsewhere+"/token", "that is who refuses")
	assert.Equal(t, login(closed.host)+" as a user with permission to push", hint(err))

	// Errors of a source are not attributed to the registry that blobs are copied to.
	dockerConfig(t, fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, closed.host,
		base64.StdEncoding.EncodeToString([]byte(user+":"+secret))))
	_, err = publish(t, quick, target(closed, hello, "latest"))
	require.NoError(t, err)
	ref, err := registry.Client{}.Parse(closed.host + "/hello@" + contenttest.DigestOf(t,
		contenttest.ChildOf(t, hello, contenttest.AMD64)).String())
	require.NoError(t, err)
	pulled, err := remote.Image(ref, quick.Options(t.Context())...)
	require.NoError(t, err)
	layers, err := pulled.Layers()
	require.NoError(t, err)
	copied := contenttest.Service(t, "copy", layers, contenttest.AMD64)
	contenttest.DigestOf(t, copied.Index) // which asks for the config
	closed.Choose(func(faulty.Request) faulty.Fault { return faulty.Status(http.StatusForbidden) })
	open := newLoopback(t, nil)
	_, err = publish(t, quick, target(open, copied, "latest"))
	assert.Contains(t, hint(err), login(closed.host)+" as a user with permission to read")
}
