// SPDX-License-Identifier: MIT

// The recipe for Go of libvfio-dmabuf(3), tried with Go's own runtime and a slice of a
// device; prints TAP.  The tests of the library's guard are tests/unit/test_guard.c, and
// test_runtimes.c beside it has other runtimes.
package main

// #cgo LDFLAGS: -lvfio-dmabuf
// #include <stdlib.h>
// #include <sys/mman.h>
// #include <vfio-dmabuf.h>
import "C"

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"
)

// What a register at the beginning of the edu device's BAR 0 has.
const identification = 0x010000ed

var number, failed int

func ok(description string, err error) {
	number++
	if err == nil {
		fmt.Printf("ok %d - %s\n", number, description)
		return
	}
	failed++
	fmt.Printf("not ok %d - %s\n# %v\n", number, description, err)
}

func check(works bool, err error) {
	if !works {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type owner struct {
	device *C.struct_vdb_device
	slice  *C.struct_vdb_slice
	memory unsafe.Pointer
}

// The guest's setup has written where the machine's devices are.
func edu() string {
	environment, err := os.ReadFile("/etc/lab.env")
	check(err == nil, err)
	_, rest, _ := strings.Cut(string(environment), "LAB_EDU=")
	bdf, _, _ := strings.Cut(rest, "\n")
	return bdf
}

// A call that succeeds can leave an errno, so the result says whether it did.
func openOwner() (o owner) {
	var err error
	page := C.struct_vdb_range{length: 4096}
	bdf := C.CString(edu())
	defer C.free(unsafe.Pointer(bdf))

	o.device, err = C.vdb_device_open(bdf, nil, nil)
	check(o.device != nil, err)
	o.slice, err = C.vdb_slice_export(o.device, 0, &page, 1, 0)
	check(o.slice != nil, err)
	o.memory, err = C.vdb_slice_map(o.slice, 0, 0, C.PROT_READ)
	check(o.memory != nil, err)
	return o
}

func enableGuard() {
	status, err := C.vdb_guard_enable()
	check(status == 0, err)
}

func readsLive(memory unsafe.Pointer) error {
	value, err := guardedRead(memory)
	if err == nil && value == identification {
		value, err = ownRead(memory)
	}
	if err == nil && value != identification {
		err = fmt.Errorf("the register has %#x", value)
	}
	return err
}

// A process that maps the slice, its fd 3, and accesses it when its stdin ends.
type child struct {
	command *exec.Cmd
	stdin   io.Closer
	output  bytes.Buffer
}

func (o owner) start(program ...string) *child {
	c := &child{command: exec.Command(program[0], program[1:]...)}
	stdin, err := c.command.StdinPipe()
	check(err == nil, err)
	stdout, err := c.command.StdoutPipe()
	check(err == nil, err)
	fd, err := syscall.Dup(int(C.vdb_slice_fd(o.slice)))
	check(err == nil, err)
	slice := os.NewFile(uintptr(fd), "slice")
	defer slice.Close()

	c.stdin = stdin
	c.command.Stderr = &c.output
	c.command.ExtraFiles = []*os.File{slice}
	err = c.command.Start()
	check(err == nil, err)
	// It has mapped the slice.
	stdout.Read(make([]byte, 1))
	return c
}

func (c *child) expect(status int, output string) error {
	c.stdin.Close()
	c.command.Wait()
	if got := c.command.ProcessState.ExitCode(); got != status || !strings.Contains(c.output.String(), output) {
		return fmt.Errorf("%v: %s", c.command.ProcessState,
			strings.ReplaceAll(c.output.String(), "\n", "\n# "))
	}
	return nil
}

// The child that accesses the slice without SetPanicOnFault.
func die() {
	memory, err := syscall.Mmap(3, 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	check(err == nil, err)
	enableGuard()
	fmt.Println("ready")
	os.Stdin.Read(make([]byte, 1))
	ownRead(unsafe.Pointer(&memory[0]))
}

func main() {
	if len(os.Args) > 1 {
		die()
		return
	}
	owner := openOwner()
	enableGuard()
	ok("Go reads a slice, through the library and itself", readsLive(owner.memory))

	plain := owner.start(os.Args[0], "die")
	host := owner.start("/lab/go/host")
	status, err := C.vdb_slice_revoke(owner.device, owner.slice)
	check(status == 0, err)
	ok("after the revocation guarded reads return EFAULT, and Go's own panic", accessFromGoroutines(owner.memory))
	ok("without SetPanicOnFault Go's own read ends the process", plain.expect(2, "unexpected fault address"))
	ok("in a C program that has loaded Go later, all reads fail the same way", host.expect(0, ""))
	fmt.Printf("1..%d\n", number)
	if failed != 0 {
		os.Exit(1)
	}
}
