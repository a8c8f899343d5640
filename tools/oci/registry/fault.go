package registry

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/multiarch-build/multiarch/tools/internal/fault"
)

// Fault is the reason that a request to a registry failed.
type Fault int

// Reasons for failed requests. Those for which Temporary returns true may disappear on their own.
const (
	Unknown Fault = iota
	Unavailable
	RateLimited
	ConnectionRefused
	HostNotFound
	LoginNeeded
	NotFound
	NoRepository
	ImmutableTag
	TooLarge
	QuotaExceeded
	UnsupportedType
	ForeignLayer
	UnknownCA
	InvalidCertificate
	NotARegistry
)

// Temporary reports whether a retry may succeed.
func (f Fault) Temporary() bool {
	return f == Unavailable || f == RateLimited || f == ConnectionRefused
}

// Messages of registries for failures without an error code.
var (
	immutableWords = regexp.MustCompile(`(?i)immutab|cannot be overwritten|can't be overwritten|overwriting .*not ` +
		`allowed|tag.{0,200}already exists`)
	quotaWords = regexp.MustCompile(`(?i)quota|storage (limit|space|capacity)|insufficient storage|exceed the ` +
		`configured upper limit|no space left|out of (disk )?space|disk full`)
	largeWords = regexp.MustCompile(`(?i)too large|too big|exceeds? (the )?(max|size|limit)|larger than|maximum ` +
		`(allowed )?size`)
	foreignWords     = regexp.MustCompile(`(?i)foreign|non-?distributable|url on layer`)
	unsupportedWords = regexp.MustCompile(`(?i)(media|content|config|manifest|artifact) ?types?\b.{0,200}\b(not|un|in)[ ` +
		`-]?(supported|allowed|known|accepted|valid|recognized)|` +
		`(unsupported|unknown|unrecognized|invalid|disallowed) (media|content|config|manifest|artifact|schema)|schema ` +
		`?version`)
	repositoryWords = regexp.MustCompile(`(?i)(repository|project|namespace|organi[sz]ation)\b.{0,200}\b(not (be ` +
		`)?found|not exist|unknown)`)
)

// Classify determines why a request to a registry failed. Retries and hints are based on its
// result.
func Classify(err error) Fault {
	var (
		answer    *transport.Error
		html      *ContentTypeError
		foreign   *ForeignLayerError
		authority x509.UnknownAuthorityError
		verify    *tls.CertificateVerificationError
		dns       *net.DNSError
	)
	switch {
	case err == nil:
		return Unknown
	case errors.As(err, &foreign):
		return ForeignLayer
	case errors.As(err, &html):
		return NotARegistry
	// Loopback is then tried with plain HTTP, whose response is useless.
	case errors.As(err, &authority):
		return UnknownCA
	case errors.As(err, &verify):
		return InvalidCertificate
	case errors.As(err, &answer):
		return classifyAnswer(answer)
	case errors.Is(err, syscall.ECONNREFUSED):
		return ConnectionRefused
	case errors.As(err, &dns) && dns.IsNotFound:
		return HostNotFound
	case temporary(err):
		return Unavailable
	}
	return Unknown
}

func classifyAnswer(answer *transport.Error) Fault {
	code, text := answer.StatusCode, answer.Error()
	if answer.Request != nil { // the URL may contain any word
		_, text, _ = strings.Cut(text, answer.Request.URL.Redacted())
	}
	method, path := "", ""
	if answer.Request != nil {
		method, path = answer.Request.Method, answer.Request.URL.Path
	}
	writes := method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch
	manifest := strings.Contains(path, "/manifests/")
	tag := method == http.MethodPut && manifest && !strings.Contains(path, "/manifests/sha256:")
	switch {
	case code == http.StatusTooManyRequests || has(answer, transport.TooManyRequestsErrorCode):
		return RateLimited
	case tag && (immutableWords.MatchString(text) || code == http.StatusConflict):
		return ImmutableTag
	case code == http.StatusInsufficientStorage, code == http.StatusPaymentRequired, writes &&
		quotaWords.MatchString(text):
		return QuotaExceeded
	case code == http.StatusRequestEntityTooLarge, has(answer, transport.SizeInvalidErrorCode), writes &&
		code < 500 && largeWords.MatchString(text):
		return TooLarge
	case writes && manifest && code < 500 && foreignWords.MatchString(text):
		return ForeignLayer
	case code == http.StatusUnsupportedMediaType, has(answer, transport.UnsupportedErrorCode) && writes,
		writes && manifest && code < 500 && (unsupportedWords.MatchString(text) || has(answer,
			transport.ManifestInvalidErrorCode)):
		return UnsupportedType
	case has(answer, transport.NameUnknownErrorCode), code == http.StatusNotFound && repositoryWords.MatchString(text),
		code == http.StatusNotFound && method == http.MethodPost:
		return NoRepository
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return LoginNeeded
	case temporary(answer):
		return Unavailable
	case code == http.StatusNotFound:
		return NotFound
	}
	return Unknown
}

func has(answer *transport.Error, code transport.ErrorCode) bool {
	for _, d := range answer.Errors {
		if d.Code == code {
			return true
		}
	}
	return false
}

// Purpose describes a request for hints.
type Purpose struct {
	// Verb is the permission that the login needs: push or read.
	Verb string
	// Again is the hint for a retry.
	Again string
	// Host is the registry if known; a token may come from another host.
	Host string
}

// Purposes of requests.
var (
	Pushing = Purpose{Verb: "push", Again: "push again; what has been uploaded is not sent again"}
	Reading = Purpose{Verb: "read", Again: "try again"}
)

// At returns the purpose with its registry set.
func (p Purpose) At(host string) Purpose {
	p.Host = host
	return p
}

// Hint returns how to resolve a failed request, or "" if the reason is not known. It suggests a
// retry only for temporary faults.
func Hint(err error, p Purpose) string {
	if hint := fault.HintOf(err); hint != "" {
		return hint
	}
	host := cmp.Or(p.Host, hostOf(err), "the registry")
	if host == name.DefaultRegistry {
		host = "docker.io" // the usual name
	}
	switch fault := Classify(err); fault {
	case RateLimited:
		return fmt.Sprintf("%s limits the request rate: wait, log in for a higher limit, or reduce concurrency "+
			"(registries: {%q: {jobs: 4}} in multiarch.yaml), then %s", host, host, p.Again)
	case ConnectionRefused:
		return fmt.Sprintf("check the host and port of %s, and that the registry is running and reachable, then %s",
			host, p.Again)
	case HostNotFound:
		return fmt.Sprintf("check the spelling of %s, and that its name can be resolved", host)
	case Unavailable:
		if unreachable := new(net.OpError); errors.As(err, &unreachable) && unreachable.Op == "dial" {
			return fmt.Sprintf("check the spelling of %s, and that it is running and reachable, then %s", host, p.Again)
		}
		return p.Again
	case LoginNeeded:
		return fmt.Sprintf("log in with multiarch login %s (or docker login %s) as a user with permission to %s",
			host, host, p.Verb)
	default:
		return fault.remedy(host, p)
	}
}

// remedy returns how to resolve a permanent fault.
func (f Fault) remedy(host string, p Purpose) string {
	reading := p.Verb == Reading.Verb
	switch f {
	case NotFound:
		if reading {
			return "check the name, the tag and the login"
		}
	case NoRepository:
		if reading {
			return fmt.Sprintf("check the name; %s has no such repository, or this login may not see it", host)
		}
		return fmt.Sprintf("create the repository or its project in %s, or check its name; this registry does "+
			"not create it automatically", host)
	case ImmutableTag:
		return fmt.Sprintf("use another tag (--tag); in %s this one is immutable", host)
	case TooLarge:
		return fmt.Sprintf("raise the limit of %s, or of its proxy (client_max_body_size in nginx), or make the "+
			"image smaller", host)
	case QuotaExceeded:
		return fmt.Sprintf("free space in %s, or raise its quota", host)
	case UnsupportedType:
		if reading {
			return ""
		}
		return fmt.Sprintf("update %s or use another registry; it may not support the type of this manifest "+
			"(image indexes need OCI distribution 1.0)", host)
	case ForeignLayer:
		return fmt.Sprintf("allow layers with URLs (foreign layers) in %s, or use a base without them", host)
	case UnknownCA:
		return fmt.Sprintf("add the CA of %s to this machine's trusted CAs, or set SSL_CERT_FILE to its file; "+
			"--insecure, or registries: {%q: {insecure: true}}, accepts any certificate", host, host)
	case InvalidCertificate:
		return fmt.Sprintf("check the name of %s and the clock of this machine; --insecure, or registries: {%q: "+
			"{insecure: true}}, accepts any certificate", host, host)
	}
	return ""
}

// hostOf returns the host of a failed request, or "" if it is not known.
func hostOf(err error) string {
	var answer *transport.Error
	if errors.As(err, &answer) && answer.Request != nil {
		return answer.Request.URL.Host
	}
	var failed *url.Error
	if errors.As(err, &failed) {
		if u, err := url.Parse(failed.URL); err == nil {
			return u.Host
		}
	}
	return ""
}

// ForeignLayerError is returned if a registry rejects a manifest that has layers with URLs. Many
// registries do not report that this is the reason.
type ForeignLayerError struct{ Err error }

func (e *ForeignLayerError) Error() string { return e.Err.Error() }

// Unwrap returns the registry's error.
func (e *ForeignLayerError) Unwrap() error { return e.Err }
