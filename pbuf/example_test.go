package pbuf_test

import (
	"fmt"

	"github.com/shardstack/shardstack/pbuf"
)

// A packet on its way down: payload, then a header in front of it.
func Example() {
	pool, err := pbuf.NewPool(pbuf.Config{Small: 64, Buffers: 64, Jumbo: -1})
	if err != nil {
		panic(err)
	}
	p := pool.Alloc(pbuf.LayerTransport, 5, pbuf.KindRAM)
	_ = p.Take([]byte("hello"))
	p.AddHeader(2)
	copy(p.Payload(), "> ")
	fmt.Printf("%s\n", p.Payload())
	p.Free()
	fmt.Println(pool.Close())
	// Output:
	// > hello
	// <nil>
}

// A page of a file is sent without a copy: the header is a buffer of its own.
func ExamplePool_AllocRef() {
	pool, _ := pbuf.NewPool(pbuf.Config{Small: 64, Buffers: 64, Jumbo: -1})
	region, _ := pbuf.NewRegion(4096)
	copy(region.Bytes(), "a page")

	p := pool.Alloc(pbuf.LayerTransport, 0, pbuf.KindRAM)
	p.Cat(pool.AllocRef(region, 2, 4))
	p.AddHeader(4)
	_ = p.Take([]byte("len4"))
	for q := p; q != nil; q = q.Next() {
		fmt.Printf("%v %s\n", q.Kind(), q.Payload())
	}
	fmt.Println(region.Close())
	p.Free()
	fmt.Println(region.Close())
	// Output:
	// RAM len4
	// Ref page
	// pbuf: still in use: 1 buffers point into the region
	// <nil>
}
