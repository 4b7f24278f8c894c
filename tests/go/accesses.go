// SPDX-License-Identifier: MIT

// Accesses to a slice as libvfio-dmabuf(3) has them for Go: guarded ones, which return an
// error, and Go's own, which panic.
package main

// #include <vfio-dmabuf.h>
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"unsafe"
)

func guardedRead(memory unsafe.Pointer) (uint32, error) {
	var value C.uint32_t

	_, err := C.vdb_try_read32(memory, &value)
	return uint32(value), err
}

func ownRead(memory unsafe.Pointer) (value uint32, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fault.(runtime.Error)
		}
	}()
	return atomic.LoadUint32((*uint32)(memory)), nil
}

// Both fail, and the panic knows the address.
func accessRevoked(memory unsafe.Pointer) error {
	debug.SetPanicOnFault(true)
	for range 100 {
		if _, err := guardedRead(memory); err != syscall.EFAULT {
			return fmt.Errorf("the guarded read says %v", err)
		}
		_, err := ownRead(memory)
		fault, ok := err.(interface{ Addr() uintptr })
		if !ok || fault.Addr() != uintptr(memory) {
			return fmt.Errorf("the read says %v at %p", err, memory)
		}
	}
	return nil
}

// At the same time as the garbage collector, which interrupts threads by signals.
func accessFromGoroutines(memory unsafe.Pointer) error {
	const goroutines = 8
	results := make(chan error, goroutines)

	for range goroutines {
		go func() { results <- accessRevoked(memory) }()
	}
	for range goroutines {
		runtime.GC()
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

// For a program in C that has loaded this as a library.
//
//export access_revoked
func access_revoked(memory unsafe.Pointer) C.int {
	if err := accessFromGoroutines(memory); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return -1
	}
	return 0
}
