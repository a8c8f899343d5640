package run

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// portsFile is the file by which Init receives the connections to a program in a network of its own.
const portsFile = 5

// forwarder accepts connections in this network and hands them to Init, which is in that of the program.
type forwarder struct {
	listeners []net.Listener
	ports     []int
	outer, in *os.File
	closing   sync.Once
}

// listen opens the published ports.
func listen(ports []Port) (*forwarder, error) {
	f := &forwarder{}
	if len(ports) == 0 {
		return f, nil
	}
	for _, p := range ports {
		l, err := net.Listen("tcp", p.Address)
		if err != nil {
			f.close()
			return nil, fmt.Errorf("publishing port %d: %w", p.Container, err)
		}
		f.listeners, f.ports = append(f.listeners, l), append(f.ports, p.Container)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("publishing ports: %w", err)
	}
	f.outer, f.in = os.NewFile(uintptr(pair[0]), "connections"), os.NewFile(uintptr(pair[1]), "connections")
	return f, nil
}

// inner is the file that Init receives.
func (f *forwarder) inner() []*os.File {
	if f.in == nil {
		return nil
	}
	return []*os.File{f.in}
}

// forward begins to accept connections.
func (f *forwarder) forward() {
	for n, l := range f.listeners {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // it was closed
				}
				f.hand(c, f.ports[n])
			}
		}()
	}
}

// hand gives a connection to Init.
func (f *forwarder) hand(c net.Conn, port int) {
	defer c.Close()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	file, err := tcp.File()
	if err != nil {
		return
	}
	defer file.Close()
	// Whether it arrives or not, this end of it is closed.
	_ = unix.Sendmsg(int(f.outer.Fd()), []byte(strconv.Itoa(port)), unix.UnixRights(int(file.Fd())), nil,
		unix.MSG_NOSIGNAL)
}

func (f *forwarder) close() {
	f.closing.Do(func() {
		for _, l := range f.listeners {
			_ = l.Close()
		}
		for _, file := range []*os.File{f.outer, f.in} {
			if file != nil {
				_ = file.Close()
			}
		}
	})
}

// receiveConnections connects received connections with the program until the sender is gone.
func receiveConnections() {
	text, rights := make([]byte, 16), make([]byte, unix.CmsgSpace(4))
	for {
		n, size, _, _, err := unix.Recvmsg(portsFile, text, rights, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		messages, err := unix.ParseSocketControlMessage(rights[:size])
		if err != nil || len(messages) != 1 {
			continue
		}
		files, err := unix.ParseUnixRights(&messages[0])
		if err != nil || len(files) != 1 {
			continue
		}
		file := os.NewFile(uintptr(files[0]), "connection")
		c, err := net.FileConn(file)
		_ = file.Close()
		if err == nil {
			go connect(c, string(text[:n]))
		}
	}
}

// connect carries bytes between a connection and a port of the program.
func connect(c net.Conn, port string) {
	defer c.Close()
	inside, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 10*time.Second)
	if err != nil {
		if inside, err = net.DialTimeout("tcp", "[::1]:"+port, 10*time.Second); err != nil {
			return
		}
	}
	defer inside.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{inside, c}, {c, inside}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			if half, ok := way[0].(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
		})
	}
	both.Wait()
}

// furnishNetwork switches the loopback interface of a new network on, and lets everyone open any of its ports.
func furnishNetwork(proc string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("enabling the loopback interface: %w", err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("enabling the loopback interface: %w", err)
	}
	limit := filepath.Join(proc, "sys", "net", "ipv4", "ip_unprivileged_port_start")
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		return fmt.Errorf("allowing ports below 1024: %w", err)
	}
	return nil
}
