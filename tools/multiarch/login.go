package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/multiarch-build/multiarch/tools/internal/inputfile"
	"github.com/multiarch-build/multiarch/tools/oci/reference"
	"github.com/multiarch-build/multiarch/tools/oci/registry"
)

func (a *app) loginCommand() *cobra.Command {
	var (
		username string
		password bool
		insecure bool
	)
	cmd := &cobra.Command{
		Use:   "login REGISTRY --username NAME --password-stdin",
		Short: "Log in to a registry",
		Long: `Check the credentials with the registry, and store them where docker stores them: in the credential helper that
docker's config.json names, or in that file (in DOCKER_CONFIG or ~/.docker). The password is read from standard
input, because other users can see command-line arguments. If there is a multiarch.yaml, its registries: settings
apply.`,
		Example: `  multiarch login ghcr.io --username NAME --password-stdin < token.txt
  pass show registry | multiarch login registry.example.com:5000 -u NAME --password-stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if username == "" || !password {
				return usagef("for example: multiarch login ghcr.io --username NAME --password-stdin < FILE",
					"--username and --password-stdin are required")
			}
			host, err := parseHost(args[0])
			if err != nil {
				return err
			}
			secret, err := readPassword(inputfile.Interruptible(cmd.Context(), cmd.InOrStdin()))
			if err != nil {
				return err
			}
			client, err := a.clientHere(insecure, 0)
			if err != nil {
				return err
			}
			if err := client.CheckLogin(cmd.Context(), host.RegistryStr(),
				authn.FromConfig(authn.AuthConfig{Username: username, Password: secret})); err != nil {
				return &loginError{fmt.Errorf("logging in to %s: %w", host, err), loginHint(host, err)}
			}
			return keepLogin(host, username, secret)
		},
	}
	cmd.Flags().StringVarP(&username, "username", "u", "", "user name")
	cmd.Flags().BoolVar(&password, "password-stdin", false, "read the password or token from stdin")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain HTTP and untrusted certificates")
	return cmd
}

// parseHost parses a registry host.
func parseHost(given string) (name.Registry, error) {
	if err := reference.CheckHost(given); err != nil {
		return name.Registry{}, usagef("write a host without a repository, such as ghcr.io or localhost:5000", "%w", err)
	}
	return name.NewRegistry(given)
}

// readPassword reads one line.
func readPassword(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 1<<16)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usagef("pass it as one line", "no password on stdin")
	}
	return line, nil
}

// keepLogin stores credentials as docker login does.
func keepLogin(host name.Registry, username, secret string) error {
	file, err := config.Load(os.Getenv("DOCKER_CONFIG"))
	if err != nil {
		return &loginError{
			fmt.Errorf("reading docker's configuration: %w", err), "fix that file, or set DOCKER_CONFIG to another directory",
		}
	}
	server := host.RegistryStr()
	if server == name.DefaultRegistry {
		server = authn.DefaultAuthKey // docker's own name for Docker Hub
	}
	if err := file.GetCredentialsStore(server).Store(types.AuthConfig{
		ServerAddress: server,
		Username:      username,
		Password:      secret,
	}); err != nil {
		return &loginError{fmt.Errorf("storing the credentials: %w", err),
			"check that the credential helper in docker's config.json is installed and works, " +
				"or set DOCKER_CONFIG to another directory"}
	}
	return nil
}

// loginError is returned if the registry rejects credentials or they cannot be stored.
type loginError struct {
	error
	hint string
}

func (e *loginError) Unwrap() error { return e.error }

// Hint returns what to do about it.
func (e *loginError) Hint() string { return e.hint }

// loginHint returns what to do if a registry rejects credentials.
func loginHint(host name.Registry, err error) string {
	if registry.Classify(err) == registry.LoginNeeded {
		return "check the name and the password; many registries want a token that may push instead of a password"
	}
	return cmp.Or(registry.Hint(err, registry.Purpose{Again: "try again", Host: host.RegistryStr()}),
		fmt.Sprintf("check that %s is a registry: it must respond at /v2/", host.RegistryStr()))
}
