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

// watchEvery is short enough to see a process of some ten milliseconds near its end, and reading takes about a
// hundredth of it.
const watchEvery = 2 * time.Millisecond

// bind puts a command into a process group of its own, so that its children can be killed with it.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// soften makes the end of a command's context an interrupt, as by Ctrl-C.
func soften(cmd *exec.Cmd) {
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}

// settle waits until what others have written is on the disk: whoever comes next must not pay for it.
func settle() { syscall.Sync() }

// watch follows the peak of the resident memory of a process that has just started, and returns a function to call
// after its end that returns the peak in bytes. What wait4 reports as ru_maxrss would not do: it includes the process's
// children, and what the parent had in memory when it forked.
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
			n, _ := status.ReadAt(content, 0) // fails at the end of the process
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

// highWater reads the peak resident set, in bytes, from a status file: see man 5 proc_pid_status. It is 0 where
// there is none.
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

// familyTime is the user and system time of a process, of what it started and still lives, and of what it has waited
// for; 0 where there is no such process.
func familyTime(pid int) time.Duration {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // fails for malformed patterns only
	ticks, children := map[int]int64{}, map[int][]int{}
	for _, file := range stats {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
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
	return time.Duration(sum) * 10 * time.Millisecond // USER_HZ is 100 on all of Linux's platforms but alpha and ia64
}

// readStat reads a process's id, its parent's, and the ticks that it and the children it has waited for have spent: see
// man 5 proc_pid_stat. The name may contain anything, parentheses and spaces included.
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
