package mem_test

import (
	"fmt"
	"time"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/mem"
)

// A wire on one thread, in simulated time: what is sent at 0 arrives 10 ms
// later.
func Example() {
	a, b, err := mem.New(mem.Config{AtoB: mem.Impairment{Delay: 10 * time.Millisecond}})
	if err != nil {
		panic(err)
	}
	pool, err := pbuf.NewPool(pbuf.Config{Buffers: 256})
	if err != nil {
		panic(err)
	}
	for _, end := range []*mem.End{a, b} {
		if err := end.Attach(0, pool); err != nil {
			panic(err)
		}
		if err := end.Start(); err != nil {
			panic(err)
		}
	}

	p := pool.Alloc(pbuf.LayerRaw, 60, pbuf.KindRAM)
	a.TxBurst(0, 0, []*pbuf.Pbuf{p})
	now := b.NextEvent(0)
	var got [8]*pbuf.Pbuf
	n := b.RxBurst(0, now, got[:])
	fmt.Println(n, "frame of", got[0].TotLen(), "bytes after", time.Duration(now))
	pbuf.FreeBatch(got[:n])

	a.Close()
	b.Close()
	fmt.Println("all buffers home:", pool.Close() == nil)
	// Output:
	// 1 frame of 60 bytes after 10ms
	// all buffers home: true
}
