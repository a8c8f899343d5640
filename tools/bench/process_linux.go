package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const memorySource = "VmHWM of /proc/PID/status, read every 2 ms"

// watchEvery is short enough to observe a process of about ten milliseconds near its end. Reading takes about one
// hundredth of it.
const watchEvery = 2 * time.Millisecond

// bind starts a command in its own process group, so that its children can be killed with it.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// soften makes a command receive an interrupt when its context ends.
func soften(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}

// settle flushes file systems, so that the next tool does not pay for earlier writes.
func settle() { syscall.Sync() }

// watch observes the peak resident memory of a new process. It returns a function that returns the peak in bytes after
// the process has ended. ru_maxrss of wait4 is not suitable, because it includes children and the parent's memory at
// the fork.
func watch(pid int) func() int64 {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return func() int64 { return 0 }
	}
	ended, result := make(chan struct{}), make(chan int64)
	go func() {
		defer status.Close()
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		var peak int64
		content := make([]byte, 4096)
		for {
			n, _ := status.ReadAt(content, 0) // fails when the process ends
			peak = max(peak, highWater(content[:n]))
			select {
			case <-tick.C:
			case <-ended:
				result <- peak
				return
			}
		}
	}()
	return func() int64 { close(ended); return <-result }
}

// highWater returns the peak resident set in bytes from a status file (see man 5 proc_pid_status), or 0 if there is
// none.
func highWater(status []byte) int64 {
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kilobytes, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
	n, err := strconv.ParseInt(string(kilobytes), 10, 64)
	if err != nil {
		return 0
	}
	return n * 1024
}

// familyTime returns the user and system time of a process and its running and finished descendants, or 0 if there is
// no such process.
func familyTime(pid int) time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails for malformed patterns only
	ticks, children := map[int]int64{}, map[int][]int{}
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if id, parent, spent, ok := readStat(content); ok {
			ticks[id] = spent
			children[parent] = append(children[parent], id)
		}
	}
	var sum int64
	for family := []int{pid}; len(family) > 0; {
		one := family[0]
		family = append(family[1:], children[one]...)
		sum += ticks[one]
	}
	return time.Duration(sum) * 10 * time.Millisecond // USER_HZ is 100 on all Linux platforms except alpha and ia64
}

// readStat returns the process ID, the parent's ID, and the ticks of the process and of children it has waited for (see
// man 5 proc_pid_stat). The name may contain any characters, including parentheses and spaces.
func readStat(stat []byte) (pid, parent int, ticks int64, ok bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return 0, 0, 0, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 15 {
		return 0, 0, 0, false
	}
	pid, err1 := strconv.Atoi(string(bytes.TrimSpace(stat[:open])))
	parent, err2 := strconv.Atoi(string(fields[1]))
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, 0, 0, false
		}
		ticks += n
	}
	return pid, parent, ticks, err1 == nil && err2 == nil
}
