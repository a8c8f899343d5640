// Command hello is an HTTP service that says which platform it was built for and is running on.
package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/multiarch-build/multiarch/app/internal/serve"
)

func main() { os.Exit(serve.Main("hello", hello(platform()))) }

func hello(platform string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "Hello. I am a Go service running on %s\n", platform)
	})
	return mux
}

// platform names the running process's own platform as an image index does: linux/arm64, linux/arm/v6, linux/amd64/v3.
func platform() string {
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	return name(runtime.GOOS, runtime.GOARCH, settings)
}

func name(os, arch string, settings map[string]string) string {
	switch level := settings["GO"+map[string]string{"arm": "ARM", "amd64": "AMD64"}[arch]]; {
	case arch == "arm" && level != "":
		return os + "/" + arch + "/v" + level[:1] // 7, or 7,hardfloat
	case arch == "amd64" && level != "" && level != "v1":
		return os + "/" + arch + "/" + level
	}
	return os + "/" + arch
}
