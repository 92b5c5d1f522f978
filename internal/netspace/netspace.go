// Package netspace runs functions in other network namespaces. Devices and sockets
// that are opened there stay there, whichever thread uses them afterwards.
package netspace

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
)

// Do calls fn in the network namespace called name, as `ip netns` knows it, or of
// that path if there is a slash in it; "" is the caller's own. It returns the error
// of fn, or why it was not called: the system's, as os.ErrNotExist and
// os.ErrPermission. Any goroutine.
//
// fn runs on a thread of its own, so that nothing else ever runs in the wrong
// namespace; if the thread can't be brought back, it ends with its goroutine, which
// stays locked to it.
func Do(name string, fn func() error) error {
	if name == "" {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err, back := visit(name, fn)
		if back {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// visit calls fn in the namespace and goes back; back tells whether the thread
// is where it came from.
func visit(name string, fn func() error) (err error, back bool) {
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("own network namespace: %w", err), true
	}
	defer func() { _ = home.Close() }()
	find := netns.GetFromName
	if strings.Contains(name, "/") {
		find = netns.GetFromPath
	}
	ns, err := find(name)
	if err != nil {
		return fmt.Errorf("network namespace %q: %w", name, err), true
	}
	defer func() { _ = ns.Close() }()
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter network namespace %q: %w", name, err), true
	}
	err = fn()
	return err, netns.Set(home) == nil
}
