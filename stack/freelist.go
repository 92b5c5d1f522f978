package stack

// freeList keeps parts of connections that nobody has at the moment, so that the
// next one that needs such a part allocates nothing. The zero freeList is empty.
type freeList[T any] []*T

// get gives a part, zero.
func (f *freeList[T]) get() *T {
	if n := len(*f); n > 0 {
		p := (*f)[n-1]
		*f = (*f)[:n-1]
		return p
	}
	return new(T)
}

// put takes a part back and clears it; nil is none.
func (f *freeList[T]) put(p *T) {
	if p != nil {
		var zero T
		*p = zero
		*f = append(*f, p)
	}
}
