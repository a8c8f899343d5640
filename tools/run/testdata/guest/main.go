// Command guest is the program in the images of package run's tests. Its first argument selects what it does.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := do(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(99)
	}
}

func do(args []string) error {
	switch args[0] {
	case "report":
		return report()
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "die":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "stop": // prints which signals stopped it
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR1)
		fmt.Println("ready")
		fmt.Println("stopped by", <-c)
		select {
		case s := <-c:
			fmt.Println("and by", s)
		case <-time.After(30 * time.Millisecond):
		}
	case "read": // a line, then as stop
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Printf("read %q\n", line)
		return do([]string{"stop"})
	case "stubborn": // with a child that is no better, and touches the file args[1] as long as it lives
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		if len(args) < 3 {
			child := exec.Command("/proc/self/exe", append(args, "child")...)
			child.SysProcAttr = &syscall.SysProcAttr{Setpgid: len(args) > 1 && args[1] == "own"}
			child.Stdout = os.Stdout
			if err := child.Start(); err != nil {
				return err
			}
			time.Sleep(time.Hour)
		}
		for range time.Tick(20 * time.Millisecond) {
			fmt.Println("alive")
		}
	case "serve":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		c, err := l.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c, "served by", runtime.GOARCH)
		return c.Close()
	case "exec":
		c := exec.Command(args[1], args[2:]...)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		return c.Run()
	case "litter": // makes directories that cannot be removed just so
		if err := os.MkdirAll("/tmp/a/b/c", 0o700); err != nil {
			return err
		}
		return errors.Join(os.Chmod("/tmp/a/b/c", 0o000), os.Chmod("/tmp/a/b", 0o100), os.Chmod("/tmp/a", 0o500))
	case "tree":
		return tree(args[1])
	default:
		return fmt.Errorf("unknown: %q", args)
	}
	return nil
}

func report() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	caps := ""
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "CapEff:") {
			caps = strings.TrimSpace(strings.TrimPrefix(line, "CapEff:"))
		}
	}
	var files []string
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		files = append(files, e.Name())
	}
	_, null := os.ReadFile("/dev/null")
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"Arch": runtime.GOARCH, "Args": os.Args, "Env": os.Environ(), "Dir": dir, "UID": os.Getuid(), "GID": os.Getgid(),
		"Groups": groups, "Host": host, "PID": os.Getpid(), "Files": files, "Caps": caps, "Null": null == nil,
		"Temp": os.Getenv("WRITE") != "" && os.WriteFile(os.Getenv("WRITE"), nil, 0o600) == nil,
	})
}

// tree prints a line for every file below dir.
func tree(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		what := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			what, err = os.Readlink(name)
			what = "-> " + what
		case info.Mode().IsRegular() && info.Size() < 1000:
			var text []byte
			text, err = os.ReadFile(name)
			what = fmt.Sprintf("%q links %d", text, st.Nlink)
		}
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%s %s %d:%d %s", name, info.Mode(), st.Uid, st.Gid, what)))
		return err
	})
}
