package ring_test

import (
	"fmt"

	"github.com/shardstack/shardstack/ring"
)

func ExampleSPSC() {
	r, err := ring.NewSPSC[string](4)
	if err != nil {
		panic(err)
	}
	// The producer's thread.
	n := r.PushBatch([]string{"a", "b", "c", "d", "e"})
	fmt.Println(n, "of 5 fit")

	// The consumer's thread.
	batch := make([]string, 32)
	n = r.PopBatch(batch)
	fmt.Println(batch[:n])
	// Output:
	// 4 of 5 fit
	// [a b c d]
}

func ExampleBell() {
	r, err := ring.NewSPSC[int](4)
	if err != nil {
		panic(err)
	}
	var bell ring.Bell
	wake := make(chan struct{}, 1)
	done := make(chan struct{})

	go func() { // the consumer
		defer close(done)
		for sum := 0; sum < 6; {
			if v, ok := r.Pop(); ok {
				sum += v
				continue
			}
			bell.Arm()
			if r.Len() == 0 {
				<-wake
			}
			bell.Disarm()
		}
		fmt.Println("got all")
	}()

	for _, v := range []int{1, 2, 3} { // the producer
		r.Push(v)
		if bell.Ring() {
			select {
			case wake <- struct{}{}:
			default: // one is there already
			}
		}
	}
	<-done
	// Output: got all
}

func ExampleSnapshot() {
	type stats struct{ packets, bytes uint64 }
	var snap ring.Snapshot[stats]

	snap.Publish(&stats{packets: 3, bytes: 180}) // the writer's thread

	var s stats // any other
	snap.Load(&s)
	fmt.Println(s.packets, s.bytes)
	// Output: 3 180
}
