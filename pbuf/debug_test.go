//go:build pbufdebug

package pbuf

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// debugPool is not closed: the tests leave its buffers in a bad state.
func debugPool(t *testing.T) *Pool {
	t.Helper()
	pl, err := NewPool(Config{Small: 4, Buffers: 1, Jumbo: -1, HugePages: HugeNever})
	require.NoError(t, err)
	t.Cleanup(func() { unregister(pl) })
	return pl
}

// panics returns the message of the panic that f ends with.
func panics(t *testing.T, f func()) (msg string) {
	t.Helper()
	defer func() {
		t.Helper()
		msg, _ = recover().(string)
		require.NotEmpty(t, msg, "no panic")
	}()
	f()
	return ""
}

func TestDebugDoubleFree(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 1, KindRAM)
	p.Free()
	msg := panics(t, func() { p.Free() })
	require.Contains(t, msg, "double free")
	require.Contains(t, msg, "allocated by")
	require.Contains(t, msg, "freed by")
	require.Contains(t, msg, "TestDebugDoubleFree")
	require.Contains(t, panics(t, func() { FreeBatch([]*Pbuf{p}) }), "double free")
	require.Contains(t, panics(t, func() { pl.put(p) }), "double free")
}

func TestDebugUseAfterFree(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	p.Free()
	var q Queue
	for name, use := range map[string]func(){
		"Len":          func() { p.Len() },
		"TotLen":       func() { p.TotLen() },
		"Next":         func() { p.Next() },
		"QNext":        func() { p.QNext() },
		"Payload":      func() { p.Payload() },
		"CB":           func() { CB[int](p) },
		"Ref":          func() { p.Ref() },
		"AddHeader":    func() { p.AddHeader(0) },
		"RemoveHeader": func() { p.RemoveHeader(0) },
		"SetLen":       func() { p.SetLen(0) },
		"Spare":        func() { p.Spare() },
		"Reset":        func() { p.Reset(LayerRaw) },
		"ChainLen":     func() { p.ChainLen() },
		"Push":         func() { q.Push(p) },
		"Handover":     func() { Handover(p, pl.id) },
		"Cat":          func() { pl.Alloc(LayerRaw, 0, KindRAM).Cat(p) },
	} {
		require.Contains(t, panics(t, use), "use after free", name)
	}
}

func TestDebugPoison(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 2000, KindRAM)
	b := p.Payload()
	require.True(t, is(b, poisonNew), "new buffers show who relies on zeros")
	cb := CB[[CBSize]byte](p)
	require.True(t, is(cb[:], poisonNew))
	p.Free()
	require.True(t, is(b, poisonFree))
	b[1999] = 1
	require.Contains(t, panics(t, func() { pl.Alloc(LayerRaw, 2000, KindRAM) }), "written to after it was freed")
}

func TestDebugControlBlockPoison(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 2000, KindRAM)
	cb := CB[uint64](p)
	p.Free()
	*cb = 0
	require.Contains(t, panics(t, func() { pl.Alloc(LayerRaw, 2000, KindRAM) }), "written to after it was freed")
}

func TestDebugGuard(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 2000, KindRAM)
	bytesAt(p.end(), 1)[0] = 0
	require.Contains(t, panics(t, func() { p.Free() }), "written beyond its end")
}

func TestDebugThreads(t *testing.T) {
	pl := debugPool(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pl.BindThread()
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	elsewhere := func(f func()) string {
		var msg string
		done := make(chan bool)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			defer close(done)
			msg = panics(t, f)
		}()
		<-done
		return msg
	}
	for _, f := range []func(){
		func() { p.Len() }, func() { p.Free() }, func() { pl.Return([]*Pbuf{p}) },
		func() { pl.Alloc(LayerRaw, 1, KindRAM) }, func() { pl.AllocBatch(make([]*Pbuf, 1)) },
		func() { p.Split(5) },
	} {
		require.Contains(t, elsewhere(f), "used by thread")
	}
	require.Equal(t, 1, p.Free())
	pl.UnbindThread()
	done := make(chan int)
	go func() { done <- pl.Alloc(LayerRaw, 1, KindRAM).Free() }()
	require.Equal(t, 1, <-done)
}

func TestDebugQueues(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	var q, r Queue
	q.Push(p)
	require.Contains(t, panics(t, func() { r.Push(p) }), "queued while in a queue")
	require.Contains(t, panics(t, func() { q.PushFront(p) }), "queued while in a queue")
	require.Contains(t, panics(t, func() { Handover(p, pl.id) }), "handed over while in a queue")
	require.Contains(t, panics(t, func() { p.Free() }), "freed while in a queue")
	p.Ref()
	p.Free()
	r.Push(q.Pop())
	require.Same(t, p, r.RemoveAfter(nil))
	require.Equal(t, 1, p.Free())
}

func TestDebugForeign(t *testing.T) {
	a, b := debugPool(t), debugPool(t)
	p := a.Alloc(LayerRaw, 10, KindRAM)
	require.Contains(t, panics(t, func() { Handover(p, 255) }), "does not exist")
	require.Contains(t, panics(t, func() { b.Return([]*Pbuf{p}) }), "returned to pool")
	require.True(t, Handover(p, b.id))
	p.Free()
	require.Contains(t, panics(t, func() { p.Free() }), "double free")
	require.Contains(t, panics(t, func() { p.Len() }), "use after free")
	require.Contains(t, panics(t, func() { b.Return([]*Pbuf{p}) }), "returned to pool")
	require.Equal(t, 1, b.TakeForeign(a.id, make([]*Pbuf, 1)))
	a.Return([]*Pbuf{p})
	require.Contains(t, panics(t, func() { a.Return([]*Pbuf{p}) }), "double free")
}

func TestDebugControlBlockPointers(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	type good struct {
		a [3]uint16
		b struct{ c float64 }
		_ [0]*int
	}
	g := CB[good](p)
	g.a[0], g.b.c = 1, 1
	require.Contains(t, panics(t, func() { CB[struct{ x [1]*int }](p) }), "contains pointers")
	require.Contains(t, panics(t, func() { CB[string](p) }), "contains pointers")
	require.Contains(t, panics(t, func() { CB[error](p) }), "contains pointers")
}

func TestDebugRefOverflow(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	for p.RefCount() < 1<<16-1 {
		p.Ref()
	}
	require.Contains(t, panics(t, p.Ref), "too many references")
}

func TestDebugDisownShared(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	p.Ref()
	require.Contains(t, panics(t, func() { pl.Disown([]*Pbuf{p}) }), "shared")
}

func TestDebugLeakReport(t *testing.T) {
	pl := debugPool(t)
	leak := func() *Pbuf { return pl.Alloc(LayerRaw, 10, KindRAM) }
	ps := []*Pbuf{leak(), pl.Alloc(LayerRaw, 2000, KindRAM)}
	for range 2 {
		ps = append(ps, leak())
	}
	err := pl.Close()
	require.ErrorIs(t, err, ErrLeak)
	report := err.(*LeakError).Report
	require.Contains(t, report, "2 out, first a small one")
	require.Contains(t, report, "1 out, first a standard one")
	require.Contains(t, report, "TestDebugLeakReport")
	require.Contains(t, report, "debug_test.go:")
	FreeBatch(ps)
	require.NoError(t, pl.Close())
	mu.Lock()
	pools[pl.id] = pl // as debugPool will take it out
	mu.Unlock()
}

func TestDebugFreedIsUsedLate(t *testing.T) {
	pl := debugPool(t)
	p := pl.Alloc(LayerRaw, 10, KindRAM)
	p.Free()
	again := 0
	for range 8 {
		q := pl.Alloc(LayerRaw, 10, KindRAM)
		if q == p {
			again++
		}
		q.Free()
	}
	require.Less(t, again, 8)
}
