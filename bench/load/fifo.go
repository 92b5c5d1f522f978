package load

// fifo is a queue of a fixed capacity.
type fifo[T any] struct {
	buf  []T
	head int
	n    int
}

func newFIFO[T any](capacity int) fifo[T] { return fifo[T]{buf: make([]T, capacity)} }

// push adds v; the caller sees to it that there is room.
func (f *fifo[T]) push(v T) {
	i := f.head + f.n
	if i >= len(f.buf) {
		i -= len(f.buf)
	}
	f.buf[i] = v
	f.n++
}

// at gives the i-th from the front, i < n, and leaves it there.
func (f *fifo[T]) at(i int) T {
	if i += f.head; i >= len(f.buf) {
		i -= len(f.buf)
	}
	return f.buf[i]
}

// pop takes the oldest; the queue is not empty.
func (f *fifo[T]) pop() T {
	v := f.buf[f.head]
	if f.head++; f.head == len(f.buf) {
		f.head = 0
	}
	f.n--
	return v
}
