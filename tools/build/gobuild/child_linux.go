package gobuild

import (
	"os/exec"
	"syscall"
)

// bind lets a child end with this process, however that ends: an orphaned go command would replace outputs that
// somebody else relies on by then.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
