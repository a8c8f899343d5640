package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// persistent is the flag that starts a persistent worker: https://bazel.build/remote/creating
const persistent = "--persistent_worker"

// workRequest and workResponse are the parts of Bazel's worker_protocol.proto that a singleplex JSON worker needs.
type workRequest struct {
	Arguments []string `json:"arguments"`
	RequestID int      `json:"requestId"`
}

type workResponse struct {
	ExitCode  int    `json:"exitCode"`
	Output    string `json:"output"`
	RequestID int    `json:"requestId"`
}

// work serves requests until stdin is closed. Starting a process and a sandbox per action would take longer than most
// actions. It keeps no state between requests, so that outputs depend only on arguments.
func work(ctx context.Context, requests io.Reader, responses io.Writer) error {
	in, out := json.NewDecoder(requests), json.NewEncoder(responses)
	for {
		var request workRequest
		if err := in.Decode(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a work request: %w", err)
		}
		var stderr strings.Builder
		code := run(ctx, request.Arguments, &stderr)
		if err := out.Encode(workResponse{code, stderr.String(), request.RequestID}); err != nil {
			return fmt.Errorf("writing a work response: %w", err)
		}
	}
}
