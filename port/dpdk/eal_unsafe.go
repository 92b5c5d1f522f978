//go:build dpdk

package dpdk

/*
#cgo pkg-config: libdpdk
#cgo LDFLAGS: -lrte_net_ring
#cgo noescape sp_rx
#cgo nocallback sp_rx
#cgo noescape sp_tx
#cgo nocallback sp_tx
#include <stdlib.h>
#include <rte_errno.h>
#include "dev.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/port"
)

// Available reports whether this build has DPDK.
const Available = true

// environment is the process's EAL.
var environment struct {
	mu      sync.Mutex
	running bool
	failed  error // rte_eal_init can't be tried a second time
}

// Init starts DPDK's environment, once in a process. port.ErrState: it runs.
// Other errors match port.ErrConfig or are DPDK's, whose own message is on
// standard error. Any thread.
func Init(e EAL) error {
	environment.mu.Lock()
	defer environment.mu.Unlock()
	if environment.running {
		return fmt.Errorf("%w: DPDK's environment runs", port.ErrState)
	}
	return start(e)
}

// UseRunning says that the program has started DPDK itself. port.ErrState: it
// was started here. Any thread.
func UseRunning() error {
	environment.mu.Lock()
	defer environment.mu.Unlock()
	if environment.running {
		return fmt.Errorf("%w: DPDK's environment runs", port.ErrState)
	}
	environment.running = true
	return nil
}

// ensure starts the environment with defaults if it does not run yet.
func ensure() error {
	environment.mu.Lock()
	defer environment.mu.Unlock()
	if environment.running {
		return nil
	}
	return start(EAL{})
}

// start calls rte_eal_init. The arguments stay allocated: EAL keeps them.
func start(e EAL) error {
	if environment.failed != nil {
		return environment.failed
	}
	args, err := e.Arguments()
	if err != nil {
		return err
	}
	args = append([]string{"shardstack"}, args...)
	argv := (*[1 << 16]*C.char)(C.malloc(C.size_t(len(args)+1) * C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	for i, a := range args {
		argv[i] = C.CString(a)
	}
	argv[len(args)] = nil
	if r := C.sp_eal_init(C.int(len(args)), (**C.char)(unsafe.Pointer(argv))); r < 0 {
		environment.failed = fmt.Errorf("dpdk: rte_eal_init(%q): %w", args[1:], errnoOf(r))
		return environment.failed
	}
	environment.running = true
	return nil
}

// errnoOf makes an error of a negative errno, nil of others.
func errnoOf(r C.int) error {
	switch {
	case r >= 0:
		return nil
	case -r == C.int(unix.ENOTSUP), -r == C.int(unix.ENOSYS):
		return fmt.Errorf("%w: %w", port.ErrNotSupported, unix.Errno(-r))
	}
	return unix.Errno(-r)
}

// within calls fn in a network namespace, on a thread that ends with it; "" is
// the caller's own.
func within(netns string, fn func() error) error {
	if netns == "" {
		return fn()
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- func() error {
			path := netns
			if path[0] != '/' {
				path = "/run/netns/" + netns
			}
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				err = errors.Join(unix.Setns(fd, unix.CLONE_NEWNET), unix.Close(fd))
			}
			if err != nil {
				return fmt.Errorf("network namespace %q: %w", netns, err)
			}
			return fn()
		}()
	}()
	return <-done
}
