package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/multiarch-build/multiarch/tools/spec/suggest"
)

// Healthcheck is how a container runtime finds out whether a container works, as in compose files.
type Healthcheck struct {
	Test          HealthTest     `yaml:"test,omitempty" jsonschema_description:"[CMD, PROGRAM, ARGUMENT...], [CMD-SHELL, COMMAND] for the image's shell, or [NONE]; a text is a command for the shell. Default: the base's."`
	Interval      HealthDuration `yaml:"interval,omitempty" jsonschema_description:"The time between two checks, such as 30s or 1m30s; default: 30s."`
	Timeout       HealthDuration `yaml:"timeout,omitempty" jsonschema_description:"How long a check may take; default: 30s."`
	StartPeriod   HealthDuration `yaml:"start_period,omitempty" jsonschema_description:"How long failures do not count after the start; default: 0s."`
	StartInterval HealthDuration `yaml:"start_interval,omitempty" jsonschema_description:"The time between two checks during the start period; default: 5s."`
	Retries       int            `yaml:"retries,omitempty" jsonschema:"minimum=0" jsonschema_description:"How many failures in a row make a container unhealthy; default: 3."`
	Disable       bool           `yaml:"disable,omitempty" jsonschema_description:"No check, not even the base's: the same as test: [NONE]."`
}

// HealthTest is what a check runs, as in an image config: NONE, CMD and arguments, or CMD-SHELL and a command.
type HealthTest []string

// The first words of a HealthTest.
const (
	healthNone  = "NONE"
	healthCmd   = "CMD"
	healthShell = "CMD-SHELL"
)

// HealthDuration is a length of time of at least a millisecond, or zero for the runtime's default.
type HealthDuration time.Duration

// UnmarshalText reads what Go's time.ParseDuration does.
func (d *HealthDuration) UnmarshalText(text []byte) error {
	const hint = "write a number and a unit, such as 30s or 1m30s"
	parsed, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return hinted(fmt.Errorf("%q is not a length of time", text), hint)
	case parsed < 0, parsed > 0 && parsed < time.Millisecond:
		return hinted(fmt.Errorf("%q is less than a millisecond", text), hint)
	}
	*d = HealthDuration(parsed)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d HealthDuration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UsesShell tells whether a check needs the image's shell.
func (h Healthcheck) UsesShell() bool { return len(h.Test) > 0 && h.Test[0] == healthShell }

// with lays over on top of h, field by field.
func (h *Healthcheck) with(over Healthcheck) *Healthcheck {
	var merged Healthcheck
	if h != nil {
		merged = *h
	}
	if over.Disable {
		return &Healthcheck{Disable: true, Test: HealthTest{healthNone}}
	}
	if over.Test != nil {
		merged.Test, merged.Disable = over.Test, false
	}
	replace(&merged.Interval, over.Interval)
	replace(&merged.Timeout, over.Timeout)
	replace(&merged.StartPeriod, over.StartPeriod)
	replace(&merged.StartInterval, over.StartInterval)
	replace(&merged.Retries, over.Retries)
	return &merged
}

// decodeHealthTest reads a list as image configs have it, or a command for the shell.
func (r *reader) decodeHealthTest(n *yaml.Node, path Path, v reflect.Value) {
	if n.Kind == yaml.ScalarNode {
		var command Text
		r.decode(n, path, reflect.ValueOf(&command).Elem())
		switch word, rest, _ := strings.Cut(string(command), " "); {
		case command == healthNone:
			v.Set(reflect.ValueOf(HealthTest{healthNone}))
		case strings.TrimSpace(string(command)) == "":
			r.failAt(n, path, hinted(errors.New("is empty"), "write a command, or [CMD, PROGRAM, ARGUMENT...]"))
		case word == healthCmd || word == healthShell:
			r.failAt(n, path, hinted(fmt.Errorf("a text is a command for the shell, which has no command %s", word),
				"write "+strconv.Quote(strings.TrimSpace(rest))+", or a list: [CMD, PROGRAM, ARGUMENT...]"))
		default:
			v.Set(reflect.ValueOf(HealthTest{healthShell, string(command)}))
		}
		return
	}
	var words []Text
	before := len(r.errs)
	r.decode(n, path, reflect.ValueOf(&words).Elem())
	if len(r.errs) > before {
		return
	}
	var test HealthTest
	for _, w := range words {
		test = append(test, string(w))
	}
	v.Set(reflect.ValueOf(test))
	if err := test.check(); err != nil {
		r.failAt(n, path, err)
	}
}

func (t HealthTest) check() error {
	known := []string{healthCmd, healthShell, healthNone}
	switch {
	case len(t) == 0:
		return hinted(errors.New("is empty"), "write [CMD, PROGRAM, ARGUMENT...], or [NONE] for no check")
	case !slices.Contains(known, t[0]):
		hint := "begin with CMD: [CMD, " + strings.Join(t, ", ") + "]"
		if near := suggest.Of(t[0], known); near != "" {
			hint = "did you mean " + near + "?"
		}
		return hinted(fmt.Errorf("begins with %q, and not with CMD, CMD-SHELL or NONE", t[0]), hint)
	case t[0] == healthNone && len(t) > 1:
		return hinted(errors.New("NONE runs nothing, and takes no more words"), "write [NONE], or [CMD, PROGRAM, ARGUMENT...]")
	case t[0] == healthCmd && (len(t) < 2 || t[1] == ""):
		return hinted(errors.New("names no program"), "write [CMD, PROGRAM, ARGUMENT...]")
	case t[0] == healthShell && (len(t) != 2 || strings.TrimSpace(t[1]) == ""):
		return hinted(errors.New("CMD-SHELL takes one command"), `write the command as one text: [CMD-SHELL, "curl -f http://localhost/"]`)
	}
	return nil
}

// checkHealth records what excludes what in a health check.
func (r *reader) checkHealth(at Path, h Healthcheck) {
	if h.Retries < 0 {
		r.fail(at.to("retries"), "", "%d is less than 0", h.Retries)
	}
	disabled := h.Disable || len(h.Test) > 0 && h.Test[0] == healthNone
	if h.Disable && len(h.Test) > 0 && h.Test[0] != healthNone {
		r.fail(at.to("disable"), "remove it, or test:", "excludes a test")
	} else if disabled && (h.Interval != 0 || h.Timeout != 0 || h.StartPeriod != 0 || h.StartInterval != 0 || h.Retries != 0) {
		r.fail(at, "remove the other keys", "a check that is disabled has no interval, timeout or retries")
	}
}
