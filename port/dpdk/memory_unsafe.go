//go:build dpdk

package dpdk

// #include "dev.h"
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port"
)

// The layout that C knows is that of package pbuf: two arrays of length 0 each.
var (
	_ [C.SP_MBUF - pbuf.MbufSize]byte
	_ [pbuf.MbufSize - C.SP_MBUF]byte
	_ [C.SP_PRIV - pbuf.PbufSize]byte
	_ [pbuf.PbufSize - C.SP_PRIV]byte
	_ [C.SP_HEADROOM - pbuf.Headroom]byte
	_ [pbuf.Headroom - C.SP_HEADROOM]byte
	_ [pbuf.OffPayload - unsafe.Offsetof(C.struct_sp_pbuf{}.payload)]byte
	_ [pbuf.OffTotLen - unsafe.Offsetof(C.struct_sp_pbuf{}.tot_len)]byte
	_ [pbuf.OffLen - unsafe.Offsetof(C.struct_sp_pbuf{}.len)]byte
	_ [pbuf.OffRef - unsafe.Offsetof(C.struct_sp_pbuf{}.ref)]byte
	_ [pbuf.OffKind - unsafe.Offsetof(C.struct_sp_pbuf{}.kind)]byte
	_ [pbuf.OffState - unsafe.Offsetof(C.struct_sp_pbuf{}.state)]byte
	_ [pbuf.OffHome - unsafe.Offsetof(C.struct_sp_pbuf{}.home)]byte
	_ [pbuf.OffAt - unsafe.Offsetof(C.struct_sp_pbuf{}.at)]byte
	_ [pbuf.OffRoom - unsafe.Offsetof(C.struct_sp_pbuf{}.room)]byte
	_ [pbuf.OffMeta - unsafe.Offsetof(C.struct_sp_pbuf{}.hash)]byte
	_ [pbuf.OffTime - unsafe.Offsetof(C.struct_sp_pbuf{}.time)]byte
	_ [pbuf.OffQNext - unsafe.Offsetof(C.struct_sp_pbuf{}.qnext)]byte
)

// mempools are those that are to be freed when their last buffer is back, and
// the number that the next one is named with.
var mempools struct {
	mu    sync.Mutex
	waits []*C.struct_rte_mempool
	next  int
}

// newMempool makes one for n buffers of room bytes; room 0: headers only. It is
// on the node if that has memory. A private one is for drivers that copy, or whose
// other end is here.
func newMempool(n, room int, node pbuf.NUMANode, private bool) (*C.struct_rte_mempool, error) {
	mempools.mu.Lock()
	mempools.next++
	name := C.CString(fmt.Sprintf("shardstack %d", mempools.next))
	mempools.mu.Unlock()
	defer free(unsafe.Pointer(name))
	mp, err := C.sp_mempool(name, C.uint32_t(n), C.uint32_t(room), C.int(node-1), C.int(flag(private)))
	if mp == nil && node != pbuf.AnyNode {
		mp, err = C.sp_mempool(name, C.uint32_t(n), C.uint32_t(room), -1, C.int(flag(private)))
	}
	if mp == nil {
		return nil, fmt.Errorf("dpdk: no mempool for %d buffers of %d bytes (EAL.MemoryMB, or more huge pages): %w", n, room, err)
	}
	return mp, nil
}

// retire frees a mempool once all of its buffers are back.
func retire(mp *C.struct_rte_mempool) {
	if mp != nil {
		mempools.mu.Lock()
		mempools.waits = append(mempools.waits, mp)
		mempools.mu.Unlock()
	}
	Leaked()
}

// Leaked counts the buffers that are missing from mempools of ports and pools
// that are closed, and frees those mempools that are complete. With all ports
// and pools closed it is 0, or something has leaked. Any thread.
func Leaked() (n int) {
	mempools.mu.Lock()
	defer mempools.mu.Unlock()
	C.sp_orphans()
	left := mempools.waits[:0]
	for _, mp := range mempools.waits {
		if out := int(C.sp_mempool_size(mp)) - int(C.sp_mempool_avail(mp)); out != 0 {
			n += out
			left = append(left, mp)
			continue
		}
		C.sp_mempool_free(mp)
	}
	mempools.waits = left
	return n
}

// memory is what lies between a pool and its mempools. Its pool's thread owns
// it, but for refs.
type memory struct {
	c *C.struct_sp_pool

	mu   sync.Mutex
	refs int
	own  []*C.struct_rte_mempool // to be retired with it

	private bool // only this process can read what it has
}

// memories finds what was made for pools that have memory of their own.
var memories struct {
	mu sync.Mutex
	of map[*pbuf.Pool]*memory
}

func newMemory() (*memory, error) {
	c := (*C.struct_sp_pool)(C.sp_zalloc(C.sizeof_struct_sp_pool))
	if c == nil {
		return nil, fmt.Errorf("dpdk: no memory for a pool (EAL.MemoryMB)")
	}
	return &memory{c: c}, nil
}

// memoryOf finds the memory of a pool, or makes one for a pool of another's, and
// takes a reference.
func memoryOf(pool *pbuf.Pool) (*memory, error) {
	if b, ok := pool.Backing(pbuf.ClassStandard).(*backing); ok {
		b.m.ref()
		if pool.SetLender(b.m.lender()) {
			return b.m, nil
		}
		return nil, fmt.Errorf("%w: dpdk: pool %q has buffers of another driver", port.ErrConfig, pool.Name())
	}
	memories.mu.Lock()
	defer memories.mu.Unlock()
	m := memories.of[pool]
	if m == nil {
		var err error
		if m, err = newMemory(); err != nil {
			return nil, err
		}
		if !pool.SetLender(&foreign{m, pool}) {
			C.sp_free(unsafe.Pointer(m.c))
			return nil, fmt.Errorf("%w: dpdk: pool %q has buffers of another driver", port.ErrConfig, pool.Name())
		}
		if memories.of == nil {
			memories.of = map[*pbuf.Pool]*memory{}
		}
		memories.of[pool] = m
		m.ref() // the pool's
	}
	m.ref()
	return m, nil
}

func (m *memory) ref() {
	m.mu.Lock()
	m.refs++
	m.mu.Unlock()
}

// unref drops a reference. With the last, what is at hand goes back to the
// mempools.
func (m *memory) unref() {
	m.mu.Lock()
	m.refs--
	last := m.refs == 0
	m.mu.Unlock()
	if !last {
		return
	}
	C.sp_unstock(m.c)
	C.sp_free(unsafe.Pointer(m.c))
	for _, mp := range m.own {
		retire(mp)
	}
	retire(nil)
}

// headers makes what the pool needs to receive packets that their sender keeps.
func (m *memory) headers(node pbuf.NUMANode) error {
	c := &m.c.class[C.SP_HEADS]
	if c.mp != nil {
		return nil
	}
	mp, err := newMempool(maxHeaders, 0, node, m.private)
	if err == nil {
		c.mp = mp
		m.own = append(m.own, mp)
	}
	return err
}

// lend takes lent elements back.
func (m *memory) lend(src []uintptr) {
	for all := words(src); len(all) != 0; {
		if m.c.lent_n == C.SP_STOCK {
			C.sp_unload(m.c)
		}
		all = all[add(m.c.lent[:], &m.c.lent_n, all):]
	}
}

// backing is the Backing of one class. It implements pbuf.BackingCloser.
type backing struct {
	m     *memory
	class int
}

// lender is what gets the lent elements of a pool that we back. The standard
// class's backing is the one for all.
func (m *memory) lender() pbuf.Lender { return (*lender)(m) }

// lender is a memory as a pbuf.Lender.
type lender memory

// Drain implements pbuf.Lender.
func (l *lender) Drain(src []uintptr) { (*memory)(l).lend(src) }

// foreign is the Lender of a pool with memory of its own.
type foreign struct {
	m    *memory
	pool *pbuf.Pool
}

// Drain implements pbuf.Lender.
func (f *foreign) Drain(src []uintptr) { f.m.lend(src) }

// Close implements pbuf.LenderCloser.
func (f *foreign) Close() error {
	memories.mu.Lock()
	delete(memories.of, f.pool)
	memories.mu.Unlock()
	f.m.unref()
	return nil
}

// Refill implements pbuf.Backing: first what was freed last, then the reserve
// that the bursts top up.
func (b *backing) Refill(dst []uintptr) int {
	cl := &b.m.c.class[b.class]
	to := words(dst[:min(len(dst), C.SP_GRAIN)]) // so that little waits in the pool's own list
	for tries := 0; ; tries++ {
		n := take(to, cl.back[:], &cl.back_n)
		n += take(to[n:], cl.stock[:], &cl.stock_n)
		if n > 0 || tries > 0 {
			return n
		}
		C.sp_stock(b.m.c, C.int(b.class))
	}
}

// words are addresses as C has them.
func words(a []uintptr) []C.uint64_t {
	return unsafe.Slice((*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(a))), len(a))
}

// take moves as many of the last n of a list to dst as fit, and returns how many.
func take(dst, list []C.uint64_t, n *C.uint32_t) int {
	k := min(len(dst), int(*n))
	*n -= C.uint32_t(k)
	return copy(dst[:k], list[*n:])
}

// add appends as much of src to a list of n as fits, and returns how much.
func add(list []C.uint64_t, n *C.uint32_t, src []C.uint64_t) int {
	k := copy(list[*n:], src)
	*n += C.uint32_t(k)
	return k
}

// Drain implements pbuf.Backing.
func (b *backing) Drain(src []uintptr) {
	cl := &b.m.c.class[b.class]
	for all := words(src); len(all) != 0; {
		if cl.back_n == C.SP_STOCK {
			C.sp_unload(b.m.c)
		}
		all = all[add(cl.back[:], &cl.back_n, all):]
	}
}

// Close implements pbuf.BackingCloser.
func (b *backing) Close() error {
	b.m.unref()
	return nil
}

// BackPool implements port.PoolBacker: small and standard buffers lie in
// mempools of their own, with enough on top for what the device has under way.
func (p *Port) BackPool(cfg pbuf.Config, queues int) (pbuf.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.checkNew(); err != nil {
		return cfg, err
	}
	m, err := newMemory()
	if err != nil {
		return cfg, err
	}
	m.private = p.pair != nil && C.sp_private() != 0
	device := queues * int(p.d.rx_desc+p.d.tx_desc)
	for c, k := range [...]struct{ n, def, room int }{
		{cfg.Small, pbuf.DefaultSmall, pbuf.SmallRoom},
		{cfg.Buffers, pbuf.DefaultBuffers, (or(cfg.DataRoom, pbuf.DefaultDataRoom) + 63) &^ 63},
	} {
		if k.n < 0 || cfg.Backing[c] != nil || k.room > maxRoom {
			continue
		}
		mp := p.mempool
		if c != int(pbuf.ClassStandard) || mp == nil {
			if mp, err = newMempool(or(k.n, k.def)+device+poolSlack, k.room, cfg.NUMANode, m.private); err != nil {
				m.ref()
				m.unref() // retires what there is
				return cfg, err
			}
			m.own = append(m.own, mp)
		}
		m.c.class[c].mp = mp
		C.sp_mempool_ranges(mp, m.c)
		cfg.Backing[c] = &backing{m, c}
		m.ref()
	}
	if m.refs == 0 {
		C.sp_free(unsafe.Pointer(m.c))
	}
	return cfg, nil
}

const (
	// maxRoom is what fits the 16 bits of an mbuf's length.
	maxRoom = 65535 - pbuf.Headroom
	// maxHeaders bounds what a pool holds of packets that their senders keep; those
	// beyond are copied.
	maxHeaders = 8191
	// poolSlack are buffers in reserves, return lists and caches of threads.
	poolSlack = 2*C.SP_STOCK + 4096
)

var (
	_ port.PoolBacker    = (*Port)(nil)
	_ pbuf.BackingCloser = (*backing)(nil)
	_ pbuf.LenderCloser  = (*foreign)(nil)
)
