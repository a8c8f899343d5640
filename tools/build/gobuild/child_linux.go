package gobuild

import (
	"os/exec"
	"syscall"
)

// killWithParent kills a child process if this process dies. An orphaned go command could replace programs that another
// build is using.
func killWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
