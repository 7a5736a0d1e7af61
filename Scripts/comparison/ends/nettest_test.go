// golang.org/x/net/nettest's TestConn, with each connection between two places: one end's socket is made at another
// place, by socket_broker.py at the Unix socket $BROKER; this place's own address is $HERE.
package main

import (
	"net"
	"os"
	"syscall"
	"testing"

	"golang.org/x/net/nettest"
)

// foreignSocket returns the descriptor of a new socket of the other place.
func foreignSocket() (int, error) {
	broker, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: os.Getenv("BROKER"), Net: "unix"})
	if err != nil {
		return -1, err
	}
	defer broker.Close()
	if _, err := broker.Write([]byte("?")); err != nil {
		return -1, err
	}
	data, ancillary := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := broker.ReadMsgUnix(data, ancillary)
	if err != nil {
		return -1, err
	}
	messages, err := syscall.ParseSocketControlMessage(ancillary[:n])
	if err != nil {
		return -1, err
	}
	descriptors, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return -1, err
	}
	return descriptors[0], nil
}

func dial(address *net.TCPAddr) (net.Conn, error) {
	descriptor, err := foreignSocket()
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(descriptor), "connection")
	defer file.Close()
	to := &syscall.SockaddrInet4{Port: address.Port}
	copy(to.Addr[:], address.IP.To4())
	if err := syscall.Connect(descriptor, to); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	return net.FileConn(file)
}

func makePipe() (c1, c2 net.Conn, stop func(), err error) {
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.ParseIP(os.Getenv("HERE"))})
	if err != nil {
		return nil, nil, nil, err
	}
	defer listener.Close()
	if c1, err = dial(listener.Addr().(*net.TCPAddr)); err != nil {
		return nil, nil, nil, err
	}
	if c2, err = listener.Accept(); err != nil {
		c1.Close()
		return nil, nil, nil, err
	}
	return c1, c2, func() { c1.Close(); c2.Close() }, nil
}

func TestConn(t *testing.T) { nettest.TestConn(t, makePipe) }

// The same with the ends exchanged: what the first end does in a test, the second then does.
func TestConnOtherWay(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c2, c1, stop, err = makePipe()
		return
	})
}
