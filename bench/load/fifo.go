package load

// fifo is a queue of a fixed capacity, for what waits for the pacer.
type fifo[T any] struct {
	buf  []T
	head int
	n    int
}

func newFIFO[T any](capacity int) fifo[T] { return fifo[T]{buf: make([]T, capacity)} }

func (f *fifo[T]) push(v T) {
	f.buf[(f.head+f.n)%len(f.buf)] = v
	f.n++
}

func (f *fifo[T]) pop() T {
	v := f.buf[f.head]
	f.head = (f.head + 1) % len(f.buf)
	f.n--
	return v
}
