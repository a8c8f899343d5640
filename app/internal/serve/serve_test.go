package serve

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenRequestsAreFinished(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel() // the service is asked to end while it answers
		_, _ = io.WriteString(w, "answer")
	})
	said, stderr := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, stderr, "test", "0", handler) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, said) }()
	_, port, found := strings.Cut(line, "listening on [::]:")
	require.True(t, found, line)

	response, err := http.Get("http://127.0.0.1:" + strings.TrimSpace(port))
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	assert.Equal(t, "answer", string(body))
	assert.NoError(t, <-ended)
}

func TestPortThatCannotBeHad(t *testing.T) {
	err := run(t.Context(), io.Discard, "test", "no-such-port", nil)
	assert.ErrorContains(t, err, "no-such-port")
}
