//go:build pbufdebug

package pbuf

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"sync"
)

const debug = true

const (
	debugGuard = lineSize // bytes behind each data room that nobody may write
	poisonFree = 0xdb     // all bytes of a free buffer but its hot line
	poisonNew  = 0xcd     // the same of a buffer just allocated
	poisonEdge = 0xfe     // guard bytes
)

type poolDebug struct {
	owner int // OS thread, 0 = not bound
}

type classDebug struct {
	turn int // next slot to trade a freed buffer for
}

// record is what is known of an element. It outlives the buffers made of it.
type record struct {
	live      bool
	seq       uint64 // allocations in the process before this one
	allocated stack
	freed     stack
}

type stack [24]uintptr

// records finds an element's record by the address of its header. debugMu
// guards it and every record.
var (
	debugMu  sync.Mutex
	debugSeq uint64
	records  = map[uintptr]*record{}
)

// BindThread declares the calling OS thread to be the only one to use the pool
// and the buffers it holds from now on.
func (pl *Pool) BindThread() { pl.debug.owner = threadID() }

// UnbindThread takes BindThread back.
func (pl *Pool) UnbindThread() { pl.debug.owner = 0 }

func (pl *Pool) assertOwner() {
	if o := pl.debug.owner; o != 0 && o != threadID() {
		panic(fmt.Sprintf("pbuf: pool %q of thread %d used by thread %d", pl.name, o, threadID()))
	}
}

// misuse panics with what is known of p.
func (p *Pbuf) misuse(what string) {
	debugMu.Lock()
	defer debugMu.Unlock()
	s := fmt.Sprintf("pbuf: %s: %s buffer %#x of pool %d, at pool %d, ref %d, %d of %d bytes",
		what, p.Class(), addr(p), p.home, p.at, p.ref, p.length, p.totLen)
	if r := records[addr(p)]; r != nil {
		s += "\nallocated by\n" + r.allocated.String()
		if !r.live {
			s += "freed by\n" + r.freed.String()
		}
	}
	panic(s)
}

func (p *Pbuf) assertLive() {
	if p.ref == 0 {
		p.misuse("use after free")
	}
	if pl := pools[p.at]; pl != nil {
		pl.assertOwner()
	}
}

func (p *Pbuf) assertRef() {
	p.assertLive()
	if p.ref == 1<<16-1 {
		p.misuse("too many references")
	}
}

func (p *Pbuf) assertFree() {
	if p.ref == 0 {
		p.misuse("double free")
	}
	if p.ref == 1 && p.state&stateQueued != 0 {
		p.misuse("freed while in a queue")
	}
	p.assertLive()
}

func (p *Pbuf) markQueued() {
	p.assertLive()
	if p.state&stateQueued != 0 {
		p.misuse("queued while in a queue")
	}
	p.state |= stateQueued
}

func (p *Pbuf) unmarkQueued() {
	p.assertLive()
	p.state &^= stateQueued
}

// room returns all bytes of p's element from the headroom to the end, and the
// guard behind them.
func (p *Pbuf) room() (data, guard []byte) {
	c := &pools[p.home].classes[p.state&stateClass]
	data = bytesAt(addr(p)+PbufSize, c.space)
	if c.backing != nil {
		return data, nil
	}
	return data, bytesAt(addr(p)+PbufSize+uintptr(c.space), debugGuard)
}

func (p *Pbuf) debugAlloc() {
	debugMu.Lock()
	r := records[addr(p)]
	known := r != nil
	if !known {
		r = &record{}
		records[addr(p)] = r
	}
	debugSeq++
	r.seq = debugSeq
	debugMu.Unlock()
	data, guard := p.room()
	if known && (!is(data, poisonFree) || !is(p.cb[:], poisonFree)) {
		p.misuse("written to after it was freed")
	}
	fill(data, poisonNew)
	fill(p.cb[:], poisonNew)
	fill(guard, poisonEdge)
	debugMu.Lock()
	r.live = true
	r.allocated = callers()
	debugMu.Unlock()
}

// debugAdopt is debugAlloc for an element that holds received bytes.
func (p *Pbuf) debugAdopt() {
	debugMu.Lock()
	defer debugMu.Unlock()
	debugSeq++
	records[addr(p)] = &record{live: true, seq: debugSeq, allocated: callers()}
}

func (p *Pbuf) debugFree() {
	pools[p.home].assertOwner()
	debugMu.Lock()
	r := records[addr(p)]
	was := r != nil && r.live
	if was {
		r.live = false
		r.freed = callers()
	}
	debugMu.Unlock()
	if !was {
		p.misuse("double free")
	}
	data, guard := p.room()
	if !is(guard, poisonEdge) {
		p.misuse("written beyond its end")
	}
	fill(data, poisonFree)
	fill(p.cb[:], poisonFree)
	p.state &= stateClass
	p.next = 0
	p.payload = 0
	p.length = 0
	p.totLen = 0
}

func (p *Pbuf) debugDisown() {
	if p.ref != 1 || p.state&(stateRef|stateShared) != 0 {
		p.misuse("disowned while its memory is shared")
	}
	debugForget([]uintptr{addr(p)})
}

// debugFreeLent checks a lent buffer that is freed. Its bytes are the device's:
// nothing is known of what is around them.
func (p *Pbuf) debugFreeLent() {
	pools[p.home].assertOwner()
	debugMu.Lock()
	r := records[addr(p)]
	debugMu.Unlock()
	if r == nil || !r.live {
		p.misuse("double free")
	}
	debugForget([]uintptr{addr(p)})
}

// debugForget drops the records of elements that go back to a Backing.
func debugForget(elements []uintptr) {
	debugMu.Lock()
	defer debugMu.Unlock()
	for _, a := range elements {
		delete(records, a)
	}
}

func (p *Pbuf) debugHandover(to uint8) {
	for q := p; q != nil; q = q.Next() {
		if q.state&stateQueued != 0 {
			q.misuse("handed over while in a queue")
		}
	}
	if pools[to] == nil {
		p.misuse(fmt.Sprintf("handed to pool %d, which does not exist", to))
	}
}

func (p *Pbuf) debugReturn(pl *Pool) {
	pl.assertOwner()
	if p.home != pl.id || p.ref != 0 {
		p.misuse(fmt.Sprintf("returned to pool %d", pl.id))
	}
}

// debugShuffle trades the buffer freed last for another free one, each time a
// different one, so that it is not used again at once.
func (c *class) debugShuffle() {
	c.debug.turn++
	i := c.debug.turn % c.n
	c.free[i], c.free[c.n-1] = c.free[c.n-1], c.free[i]
}

func assertNoPointers[T any]() {
	if t := reflect.TypeFor[T](); hasPointers(t) {
		panic("pbuf: control block type " + t.String() + " contains pointers")
	}
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return t.Len() > 0 && hasPointers(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if hasPointers(f.Type) {
				return true
			}
		}
		return false
	case reflect.Pointer, reflect.UnsafePointer, reflect.String, reflect.Slice, reflect.Map,
		reflect.Chan, reflect.Func, reflect.Interface:
		return true
	}
	return false
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

// is reports whether all bytes of b are v.
func is(b []byte, v byte) bool {
	return len(b) == 0 || b[0] == v && bytes.Equal(b[1:], b[:len(b)-1])
}

func callers() (s stack) {
	runtime.Callers(3, s[:])
	return s
}
