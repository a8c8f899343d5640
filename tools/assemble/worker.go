package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// persistent is the flag by which Bazel starts a program once for many actions: https://bazel.build/remote/creating
const persistent = "--persistent_worker"

// workRequest and workResponse are the part of Bazel's worker_protocol.proto that a worker needs which does one thing at
// a time, in JSON.
type workRequest struct {
	Arguments []string `json:"arguments"`
	RequestID int      `json:"requestId"`
}

type workResponse struct {
	ExitCode  int    `json:"exitCode"`
	Output    string `json:"output"`
	RequestID int    `json:"requestId"`
}

// work answers requests until there are no more: a process and a sandbox for each of them would take longer than most of
// what is asked. Nothing is kept between two requests, so that the same arguments give the same files.
func work(ctx context.Context, requests io.Reader, responses io.Writer) error {
	in, out := json.NewDecoder(requests), json.NewEncoder(responses)
	for {
		var request workRequest
		if err := in.Decode(&request); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request of Bazel: %w", err)
		}
		var said strings.Builder
		code := run(ctx, request.Arguments, &said)
		if err := out.Encode(workResponse{code, said.String(), request.RequestID}); err != nil {
			return fmt.Errorf("answering Bazel: %w", err)
		}
	}
}
