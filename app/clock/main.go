// Command clock is an HTTP service that says what time it is somewhere. Its time zones come from the image's base.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/multiarch-build/multiarch/app/internal/serve"
)

func main() { os.Exit(serve.Main("clock", clock(time.Now))) }

func clock(now func() time.Time) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		zone := r.URL.Query().Get("zone")
		if zone == "" {
			zone = "UTC"
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "%s %s\n", now().In(location).Format(time.RFC3339), zone)
	})
	return mux
}
