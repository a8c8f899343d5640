package run_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"golang.org/x/sys/unix"

	"github.com/multiarch-build/multiarch/tools/run"
)

// patient is the grace period for programs that stop by themselves. It is long enough for slow machines.
const patient = 5 * time.Minute

func TestStopsWhenAsked(t *testing.T) {
	emptyTemp(t)
	need(t, "qemu-aarch64-static")
	for _, name := range []string{"linux/amd64", "linux/arm64"} {
		for signal, want := range map[string]string{
			"":       "terminated",
			"SIGINT": "interrupt",
			"usr1":   "user defined signal 1",
			"2":      "interrupt",
		} {
			t.Run(name+" "+signal, func(t *testing.T) {
				p := platform(t, name)
				img := image(t, v1.Config{Entrypoint: []string{"/guest", "stop"}, StopSignal: signal}, guestLayer(t, p))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				out, in := io.Pipe()
				go func() {
					line, err := bufio.NewReader(io.TeeReader(out, io.Discard)).ReadString('\n')
					assert.NoError(t, err)
					assert.Equal(t, "ready\n", line)
					cancel()
				}()
				var rest bytes.Buffer
				code, err := run.Run(ctx, run.Options{Image: img, Platform: p, Stdout: &tee{in, &rest}, Grace: patient})
				require.NoError(t, err)
				assert.Equal(t, 0, code)
				assert.Equal(t, "ready\nstopped by "+want+"\n", rest.String())
			})
		}
	}
}

// tee writes to a buffer, and to a pipe whose reader may have been closed.
type tee struct {
	first *io.PipeWriter
	all   *bytes.Buffer
}

func (t *tee) Write(b []byte) (int, error) {
	if t.all.Len() == 0 {
		_, _ = t.first.Write(b)
	}
	return t.all.Write(b)
}

func TestKillsWhatDoesNotStop(t *testing.T) {
	emptyTemp(t)
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "stubborn", "own"}}, guestLayer(t, p))
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	require.NoError(t, err)
	process, err := run.Start(ctx, run.Options{Image: img, Platform: p, Stdout: w, Grace: 50 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = r.Read(make([]byte, 1))
	require.NoError(t, err)
	cancel()
	code, err := process.Wait()
	require.NoError(t, err)
	assert.Equal(t, 137, code)
	endsSoon(t, r)
}

// TestKilledItself checks, for every isolation, that no program survives if the process that runs it is killed.
func TestKilledItself(t *testing.T) {
	need(t, "qemu-x86_64-static")
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "stubborn"}}, guestLayer(t, p))
	for _, u := range append(users(t), trapped) {
		t.Run(string(u), func(t *testing.T) {
			cmd, _ := u.command(t, img, request{Platform: p})
			r, w, err := os.Pipe()
			require.NoError(t, err)
			cmd.Stdout, cmd.Stderr = w, os.Stderr
			require.NoError(t, cmd.Start())
			require.NoError(t, w.Close())
			_, err = r.Read(make([]byte, 1))
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Kill())
			_ = cmd.Wait()
			endsSoon(t, r)
		})
	}
}

// endsSoon reads the rest of a pipe and checks that all its writers have exited.
func endsSoon(t *testing.T, r *os.File) {
	t.Helper()
	require.NoError(t, r.SetReadDeadline(time.Now().Add(5*time.Minute)))
	_, err := io.Copy(io.Discard, r)
	require.NoError(t, err, "something still runs")
	require.NoError(t, r.Close())
}

func TestSignalsToTheCommand(t *testing.T) {
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "stop"}}, guestLayer(t, p))
	for _, u := range users(t) {
		cmd, _ := u.command(t, img, request{Platform: p, Grace: patient})
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewReader(out)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "ready\n", line)
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		line, err = lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "stopped by terminated\n", line)
		require.NoError(t, cmd.Wait())
	}
}

func TestStreams(t *testing.T) {
	need(t, "qemu-aarch64-static")
	p := platform(t, "linux/arm64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest"}}, guestLayer(t, p))
	var out bytes.Buffer
	code, err := run.Run(t.Context(), run.Options{
		Image:    img,
		Platform: p,
		Args:     []string{"cat"},
		Stdin:    strings.NewReader("through"),
		Stdout:   &out,
	})
	require.NoError(t, err)
	assert.Equal(t, 0, code)
	assert.Equal(t, "through", out.String())

	never, w := io.Pipe() // an input that never ends does not keep Run waiting
	defer w.Close()
	code, err = run.Run(t.Context(), run.Options{Image: img, Platform: p, Args: []string{"exit", "3"}, Stdin: never})
	require.NoError(t, err)
	assert.Equal(t, 3, code)
}

func TestServesOnLoopback(t *testing.T) {
	need(t, "qemu-s390x-static")
	p := platform(t, "linux/s390x")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "serve"}, User: "nonroot"}, guestLayer(t, p))
	r, w := io.Pipe()
	process, err := run.Start(t.Context(), run.Options{Image: img, Platform: p, Stdout: w})
	require.NoError(t, err)
	address, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	c, err := net.Dial("tcp", strings.TrimSpace(address))
	require.NoError(t, err)
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "served by s390x\n", string(answer))
	code, err := process.Wait()
	require.NoError(t, err)
	assert.Equal(t, 0, code)
}

// TestTerminal stops a program that reads from a terminal with Ctrl-C. Then the shell that started it must be able to
// read from the terminal.
func TestTerminal(t *testing.T) {
	p := platform(t, "linux/amd64")
	img := image(t, v1.Config{Entrypoint: []string{"/guest", "read"}}, guestLayer(t, p))
	for _, u := range users(t) {
		keyboard, terminal := openTerminal(t)
		cmd, _ := u.command(t, img, request{Platform: p, Grace: patient})
		cmd.Path, cmd.Args = "/bin/sh", []string{
			"sh", "-c", `"$0"; echo exit $?; read line; echo "shell read $line"`, cmd.Path,
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
		require.NoError(t, cmd.Start())
		require.NoError(t, terminal.Close())
		screen := bufio.NewReader(keyboard)
		say := func(text string) {
			_, err := keyboard.WriteString(text)
			require.NoError(t, err)
		}
		see := func(want string) {
			t.Helper()
			for {
				line, err := screen.ReadString('\n')
				require.NoError(t, err, want)
				if strings.Contains(line, want) {
					return
				}
			}
		}
		say("hello\n")
		see(`read "hello\n"`)
		see("ready")
		say("\x1a\x03") // Ctrl-Z does nothing
		see("stopped by interrupt")
		line, err := screen.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, "exit 0\r\n", line, "one signal, not two")
		say("again\n")
		see("shell read again")
		require.NoError(t, cmd.Wait())
	}
}

// openTerminal opens a pseudo terminal. Reads and writes at both ends time out after some minutes.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	keyboard = os.NewFile(uintptr(fd), "keyboard")
	t.Cleanup(func() { _ = keyboard.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, keyboard.SetDeadline(time.Now().Add(5*time.Minute)))
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return keyboard, terminal
}
