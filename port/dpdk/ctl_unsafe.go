//go:build dpdk

package dpdk

// #include "dev.h"
import "C"

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
)

// Link is the state of the link as the device sees it.
func (p *Port) Link() port.LinkState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateStarted {
		return port.LinkState{}
	}
	var mbps C.uint32_t
	up := C.sp_link(p.d.port, &mbps) != 0
	if p.pair != nil {
		up, mbps = p.pair.isUp(), 0
	}
	return port.LinkState{Up: up, Mbps: uint32(mbps)}
}

// missed are the device's counters of frames that no queue ever saw.
func (p *Port) missed() (n [3]C.uint64_t, ok bool) {
	if p.state == stateClosed {
		return p.last, true
	}
	ok = C.sp_missed(p.d.port, &n[0], &n[1], &n[2]) == 0
	return n, ok
}

// Stats are the counters of queue q, zero for one that does not exist. Frames
// that the device lost before any queue are counted with queue 0.
func (p *Port) Stats(qi int) port.Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	if qi < 0 || qi >= len(p.queues) {
		return port.Stats{}
	}
	s := p.queues[qi].stats()
	if n, ok := p.missed(); qi == 0 && ok {
		s.RxMissed += uint64(n[0] + n[2])
		s.RxErrors += uint64(n[1])
	}
	return s
}

// Counters tell how packets of queue q crossed; Misses are those of its pool.
// Any thread.
func (p *Port) Counters(qi int) Counters {
	p.mu.Lock()
	defer p.mu.Unlock()
	if qi < 0 || qi >= len(p.queues) {
		return Counters{}
	}
	return p.queues[qi].counters()
}

// XStats are the device's own counters, all that it has. Any thread.
func (p *Port) XStats() ([]XStat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkOpen(); err != nil {
		return nil, err
	}
	n := C.sp_xstats_count(p.d.port)
	if n <= 0 {
		return nil, errnoOf(n)
	}
	names, values := make([][64]C.char, n), make([]C.uint64_t, n)
	n = C.sp_xstats(p.d.port, n, &names[0], &values[0])
	if n < 0 || int(n) > len(names) {
		return nil, fmt.Errorf("dpdk %q: statistics: %w", p.cfg.Device, errnoOf(min(n, -C.int(unix.EAGAIN))))
	}
	list := make([]XStat, n)
	for i := range list {
		list[i] = XStat{Name: C.GoString(&names[i][0]), Value: uint64(values[i])}
	}
	return list, nil
}

// ask calls the device under the lock.
func (p *Port) ask(what string, fn func() C.int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkOpen(); err != nil {
		return err
	}
	if r := fn(); r < 0 {
		return fmt.Errorf("dpdk %q: %s: %w", p.cfg.Device, what, errnoOf(r))
	}
	return nil
}

// SetPromiscuous has the device take unicast frames for any address, or not.
// Errors are the device's, port.ErrNotSupported among them, as of those below.
// Any thread.
func (p *Port) SetPromiscuous(on bool) error {
	return p.ask("promiscuous mode", func() C.int { return C.sp_promiscuous(p.d.port, C.int(flag(on))) })
}

// SetAllMulticast has the device take frames for any group, or not. Any thread.
func (p *Port) SetAllMulticast(on bool) error {
	return p.ask("all groups", func() C.int { return C.sp_allmulticast(p.d.port, C.int(flag(on))) })
}

// SetMTU changes what the device takes; interfaces of stacks keep theirs. Info
// reports the new one. Up to the MTU that the port was opened with, as its
// buffers were chosen for that: port.ErrConfig. Any thread.
func (p *Port) SetMTU(mtu int) error {
	if mtu < MinMTU || mtu > p.cfg.MTU {
		return fmt.Errorf("%w: MTU %d is not in [%d, %d]", port.ErrConfig, mtu, MinMTU, p.cfg.MTU)
	}
	return p.ask("MTU", func() C.int {
		r := C.sp_set_mtu(p.d.port, C.uint16_t(mtu))
		if r == 0 {
			p.info.MTU = mtu
		}
		return r
	})
}

// AddMAC has the device take frames for another unicast address, as of an
// emulated host. Any thread.
func (p *Port) AddMAC(m header.MAC) error {
	return p.ask("add an address", func() C.int { return C.sp_mac(p.d.port, macBytes(&m), 1) })
}

// RemoveMAC takes AddMAC back. Any thread.
func (p *Port) RemoveMAC(m header.MAC) error {
	return p.ask("remove an address", func() C.int { return C.sp_mac(p.d.port, macBytes(&m), 0) })
}

// SetGroups has the device take frames for these groups in place of those it was
// told before. Any thread.
func (p *Port) SetGroups(groups []header.MAC) error {
	return p.ask("groups", func() C.int {
		return C.sp_groups(p.d.port, (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(groups))), C.uint32_t(len(groups)))
	})
}
