//go:build dpdk

package dpdk

// #include "dev.h"
// #include <rte_eal.h>
// #include <rte_ethdev.h>
import "C"

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// Attach gives queue q its pool. A pool that BackPool has configured is the
// device's memory; with any other, frames are received in a mempool that the
// queue has for itself, and sent as external segments.
func (p *Port) Attach(qi int, pool *pbuf.Pool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if qi < 0 || qi >= p.info.Queues {
		return fmt.Errorf("%w: %s has %d, not %d", port.ErrQueue, p.info.Name, p.info.Queues, qi)
	}
	if err := p.checkNew(); err != nil {
		return err
	}
	if p.queues[qi].pool != nil {
		return fmt.Errorf("%w: queue %d of %s", port.ErrState, qi, p.info.Name)
	}
	room := pool.DataRoom(pbuf.ClassStandard)
	// The capture driver makes chains without saying so.
	scatter := p.d.rx_offloads&C.RTE_ETH_RX_OFFLOAD_SCATTER != 0 || p.Driver() == "net_pcap"
	if room == 0 || int(p.d.max_rx_frame) > room && !scatter {
		return fmt.Errorf("%w: dpdk: queue %d of %s: pool %q has buffers of %d bytes; a frame of %d must fit in one",
			port.ErrConfig, qi, p.info.Name, pool.Name(), room, p.d.max_rx_frame)
	}
	q := p.queues[qi]
	err := p.attach(q, pool, qi)
	if err == nil && !p.wrapped {
		err = within(p.cfg.Netns, func() error {
			if r := C.sp_queue_setup(&p.d, C.uint16_t(qi), q.c.rx); r < 0 {
				return p.fail(r)
			}
			return nil
		})
	}
	if err != nil {
		q.release()
		return err
	}
	q.pool = pool
	return nil
}

// attach makes what a queue has of its own.
func (p *Port) attach(q *queue, pool *pbuf.Pool, qi int) error {
	mem, err := memoryOf(pool)
	if err != nil {
		return err
	}
	q.mem = mem
	if mem.private && p.pair == nil && C.sp_copies(&p.d) == 0 {
		return fmt.Errorf("%w: dpdk: %s can't read the buffers of a pair in memory (pool %q): another pool, or huge pages",
			port.ErrConfig, p.info.Name, pool.Name())
	}
	q.c = (*C.struct_sp_queue)(C.sp_zalloc(C.sizeof_struct_sp_queue))
	if q.c == nil {
		return fmt.Errorf("dpdk: no memory for a queue (EAL.MemoryMB)")
	}
	q.handle = C.uintptr_t(uintptr(unsafe.Pointer(q.c)))
	c := q.c
	c.gate, c.epfd = 2, -1
	c.port, c.queue = p.d.port, C.uint16_t(qi)
	c.max_frame = p.d.max_rx_frame
	c.pool, c.pool_id = mem.c, C.uint8_t(pool.ID())
	c.own, c.copy_small = mem.c.class[pbuf.ClassStandard].mp, mem.c.class[pbuf.ClassSmall].mp
	c.rx, c.copy = c.own, c.own
	if c.own == nil {
		n := pool.Cap(pbuf.ClassStandard) + int(p.d.rx_desc+p.d.tx_desc) + poolSlack
		if q.rx, err = newMempool(n, min(pool.DataRoom(pbuf.ClassStandard), maxRoom), p.info.NUMANode, false); err != nil {
			return err
		}
		c.rx, c.copy = q.rx, q.rx
	}
	c.copy_small_room, c.copy_room = roomOf(c.copy_small), roomOf(c.copy)
	q.tags(pool)
	c.any_range = 1 - p.d.physical
	c.iova_va = flag(C.rte_eal_iova_mode() == C.RTE_IOVA_VA)
	if p.d.physical != 0 {
		p.registerPool(q, pool)
	}
	if p.pair != nil {
		if err := mem.headers(p.info.NUMANode); err != nil {
			return err
		}
		p.pair.join(p, c, qi)
	}
	return nil
}

// roomOf is how many bytes fit in a buffer of a mempool, behind the headroom.
func roomOf(mp *C.struct_rte_mempool) (room C.uint32_t) {
	if mp != nil {
		C.sp_mempool_fits(mp, &room)
	}
	return room
}

// tags fills in what received buffers are, and which may be sent as they are.
func (q *queue) tags(pool *pbuf.Pool) {
	c, id := q.c, uint64(pool.ID())
	tag := 1 | uint64(pbuf.ClassStandard)<<24 | id<<32 | id<<40
	c.alias_tag = C.uint64_t(tag | uint64(pbuf.KindRef)<<16 | (pbuf.StateLent|pbuf.StateExtern)<<24)
	tag |= uint64(pbuf.KindPool) << 16
	c.lent_tag = C.uint64_t(tag | pbuf.StateLent<<24)
	c.own_tag = C.uint64_t(tag | uint64(pool.DataRoom(pbuf.ClassStandard)/64)<<48)
	for s := range c.direct {
		class := s & pbuf.StateClass
		switch {
		case s&pbuf.StateShared != 0 || class >= pbuf.NumClasses:
		case s&pbuf.StateLent != 0:
			c.direct[s] = 1 + pbuf.NumClasses
		case q.mem.c.class[class].mp != nil:
			c.direct[s] = C.uint8_t(1 + class)
		}
	}
}

// fastFree leaves only buffers of one mempool to be sent as they are.
func (q *queue) fastFree() {
	for s := range q.c.direct {
		if s&pbuf.StateClass != int(pbuf.ClassStandard) || s&pbuf.StateLent != 0 {
			q.c.direct[s] = 0
		}
	}
	q.c.copy_small_room = 0
}

// registerPool lets the device read the pool's own mapping, which has the jumbo
// buffers. Where it can't, packets in them are copied.
func (p *Port) registerPool(q *queue, pool *pbuf.Pool) {
	if b := pool.Memory(); b != nil {
		page := uint64(unix.Getpagesize())
		if pool.Pages() == pbuf.PagesHuge {
			page = 2 << 20
		}
		C.sp_register_memory(q.mem.c, p.d.port, unsafe.Pointer(unsafe.SliceData(b)), C.uint64_t(len(b)), C.uint64_t(page))
	}
}

// RegisterMemory lets the device read a region, so that buffers that point into
// it are sent without a copy; a virtual device needs no leave. For every pool
// that is attached, by the caller's thread, which must be the only one to use
// the port: before Start. Errors are the device's.
func (p *Port) RegisterMemory(r *pbuf.Region) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkNew(); err != nil || p.d.physical == 0 {
		return err
	}
	b := r.Bytes()
	for _, q := range p.queues {
		if q.c == nil {
			continue
		}
		if e := C.sp_register_memory(q.mem.c, p.d.port, unsafe.Pointer(unsafe.SliceData(b)), C.uint64_t(len(b)), C.uint64_t(unix.Getpagesize())); e < 0 {
			return fmt.Errorf("dpdk %q: register memory: %w", p.cfg.Device, errnoOf(e))
		}
	}
	return nil
}

// Start starts the device, sets its RSS and reads back what it has of that.
func (p *Port) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkNew(); err != nil {
		return err
	}
	for i, q := range p.queues {
		if q.pool == nil {
			return fmt.Errorf("%w: queue %d of %s", port.ErrNotAttached, i, p.info.Name)
		}
	}
	if err := p.run(); err != nil {
		return err
	}
	var cleanup C.uint8_t
	shared := C.sp_shared_mode(&p.d, &cleanup)
	if p.pair != nil && p.queues[0].c.kept != 0 {
		shared = C.SP_SHARED_PASS
	}
	for i, q := range p.queues {
		if err := p.prepare(q, i, shared, cleanup); err != nil {
			return err
		}
	}
	p.open()
	return nil
}

// run starts the device.
func (p *Port) run() error {
	if p.wrapped {
		return nil
	}
	err := within(p.cfg.Netns, func() error {
		reta := append(p.reta[:len(p.reta):len(p.reta)], 0) // never empty
		if r := C.sp_start(&p.d, &reta[0]); r < 0 {
			return p.fail(r)
		}
		copy(p.reta, reta)
		return nil
	})
	if err != nil || !p.info.RSS.Enabled() {
		return err
	}
	told := p.info.RSS
	if err := p.describeRSS(); err != nil {
		return err
	}
	if p.info.RSS != told {
		p.info.RSS = told
		C.sp_stop(p.d.port)
		return fmt.Errorf("%w: dpdk %q: the device has another RSS key or table than it was given (Config.Without RSSHash and one queue, or another RSSKey)",
			port.ErrNotSupported, p.cfg.Device)
	}
	return nil
}

// prepare makes what a queue needs while frames flow.
func (p *Port) prepare(q *queue, qi int, shared C.int, cleanup C.uint8_t) error {
	c := q.c
	c.shared, c.cleanup = C.uint8_t(shared), cleanup
	c.hash_l4 = C.uint32_t(p.hashedL4())
	if C.sp_inserts_in_software(&p.d) != 0 {
		// Not into bytes that others hold, nor where there is no headroom for it.
		c.copied = C.SP_TX_VLAN
	}
	if p.info.Caps.Has(offload.RxTime) {
		C.sp_times(&p.d, c)
	}
	if p.cfg.FastFree {
		q.fastFree()
	}
	c.hold_least = math.MaxUint32
	if shared != C.SP_SHARED_COPY {
		n := 1 << bits.Len(uint(2*p.d.tx_desc-1))
		c.holds = (*C.struct_sp_hold)(C.sp_zalloc(C.uint64_t(n) * C.sizeof_struct_sp_hold))
		if c.holds == nil {
			return fmt.Errorf("dpdk: no memory for a queue (EAL.MemoryMB)")
		}
		c.holds_mask = C.uint32_t(n - 1)
		c.hold_least = 0
	}
	if shared == C.SP_SHARED_PASS {
		c.hold_least = C.SP_PASS_LEAST
	}
	if shared == C.SP_SHARED_HOLD {
		n := int(c.holds_mask) + 1
		var err error
		if q.heads, err = newMempool(4*n+poolSlack, 0, p.info.NUMANode, false); err != nil {
			return err
		}
		c.heads = q.heads
	}
	if p.d.intr != 0 {
		if fd := C.sp_intr(p.d.port, C.uint16_t(qi)); fd >= 0 {
			c.epfd = fd
			q.waiter = &waiter{q, int(fd)}
		}
	}
	return nil
}

// open lets the threads in.
func (p *Port) open() {
	p.state = stateStarted
	for _, q := range p.queues {
		q.live = true
		C.sp_open(q.c)
	}
	if p.pair != nil {
		p.pair.up(p, true)
	}
}

// shut keeps the threads out, and waits until they have left.
func (p *Port) shut() error {
	if p.pair != nil {
		p.pair.up(p, false)
	}
	for i, q := range p.queues {
		if q.c != nil && C.sp_shut(q.c) != 0 {
			return fmt.Errorf("%w: queue %d of %s", port.ErrBusy, i, p.info.Name)
		}
	}
	return nil
}

// Stop stops the device. Threads may go on calling the bursts, which find
// nothing and take nothing until Restart. port.ErrState if it does not run;
// port.ErrBusy: a thread did not leave its burst. Any thread but the queues'.
func (p *Port) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateStarted || p.wrapped {
		return fmt.Errorf("%w: stop of %s", port.ErrState, p.info.Name)
	}
	if err := p.shut(); err != nil {
		return err
	}
	if r := C.sp_stop(p.d.port); r < 0 {
		return fmt.Errorf("dpdk %q: stop: %w", p.cfg.Device, errnoOf(r))
	}
	p.state = stateStopped
	return nil
}

// Restart starts a stopped device again, as it was. Any thread but the queues'.
func (p *Port) Restart() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateStopped {
		return fmt.Errorf("%w: restart of %s", port.ErrState, p.info.Name)
	}
	if err := p.run(); err != nil {
		return err
	}
	p.open()
	return nil
}

// closePatience is how long Close waits for a device that runs on to let go of
// what it was given.
const closePatience = time.Second

// Close stops the device and returns the buffers that it holds.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkOpen(); err != nil {
		return err
	}
	if err := p.shut(); err != nil {
		return err
	}
	p.last, _ = p.missed()
	for _, q := range p.queues {
		q.closeInterrupt()
	}
	running := p.state == stateStarted
	p.state = stateClosed
	var errs []error
	if running && !p.wrapped {
		if r := C.sp_stop(p.d.port); r < 0 {
			errs = append(errs, fmt.Errorf("dpdk %q: stop: %w", p.cfg.Device, errnoOf(r)))
		}
	}
	for _, q := range p.queues {
		if q.pool != nil {
			C.sp_drop_stash(q.c)
			q.reclaim()
		}
	}
	errs = append(errs, p.closeDevice())
	for i, q := range p.queues {
		if q.pool == nil {
			continue
		}
		if n := q.reclaimAll(); n != 0 {
			errs = append(errs, fmt.Errorf("%w: queue %d of %s keeps %d packets", port.ErrBusy, i, p.info.Name, n))
		}
		q.release()
	}
	return errors.Join(errs...)
}

// closeDevice gives the device up, and with it what its rings hold.
func (p *Port) closeDevice() (err error) {
	switch {
	case p.wrapped:
	case p.pair != nil:
		p.pair.leave(p)
	case p.made:
		if r := C.sp_remove(p.d.port); r < 0 {
			err = fmt.Errorf("dpdk %q: remove: %w", p.cfg.Device, errnoOf(r))
		}
	default:
		if r := C.sp_close(p.d.port); r < 0 {
			err = fmt.Errorf("dpdk %q: close: %w", p.cfg.Device, errnoOf(r))
		}
	}
	return err
}

// reclaim takes back what the device is done with, and returns how much it is
// not done with.
func (q *queue) reclaim() int {
	for before := math.MaxInt; ; {
		n := int(C.sp_reclaim_all(q.c))
		q.book()
		if n == 0 || n == before {
			return n
		}
		before = n
	}
}

// reclaimAll is reclaim with patience: others may read the buffers still.
func (q *queue) reclaimAll() int {
	for end := time.Now().Add(closePatience); ; time.Sleep(time.Millisecond) {
		n := q.reclaim()
		for n != 0 && q.c.shared == C.SP_SHARED_PASS {
			n = int(C.sp_let_go(q.c))
			q.pool.Received(nil, 0, 0, int(q.c.rx_lent))
			q.book()
		}
		if n == 0 || time.Now().After(end) {
			return n
		}
	}
}

// closeInterrupt gives up the descriptor that a thread has slept on.
func (q *queue) closeInterrupt() {
	if q.waiter != nil {
		C.sp_intr_end(q.c.port, q.c.queue, C.int(q.waiter.fd))
		_ = unix.Close(q.waiter.fd) // an epoll descriptor holds nothing that could be lost
		q.waiter = nil
		q.c.epfd = -1
	}
}

// release frees what the queue has of its own.
func (q *queue) release() {
	q.live = false
	if q.c != nil {
		q.last, q.lastN = q.stats(), q.counters()
		C.sp_free(unsafe.Pointer(q.c.holds))
		C.sp_free(unsafe.Pointer(q.c))
		q.c, q.handle = nil, 0
	}
	if q.rx != nil {
		retire(q.rx)
	}
	if q.heads != nil {
		retire(q.heads)
	}
	if q.mem != nil {
		q.mem.unref()
	}
	q.rx, q.heads, q.mem = nil, nil, nil
}

// Waiter is the queue's interrupt; nil where there is none. It is known once the
// port is started.
func (p *Port) Waiter(qi int) port.Waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if qi < 0 || qi >= len(p.queues) || p.state == stateClosed || p.queues[qi].waiter == nil {
		return nil
	}
	return p.queues[qi].waiter
}
