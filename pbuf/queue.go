package pbuf

// Queue is a list of packets, linked through their headers, with room for any
// number of them. The zero Queue is empty and ready. A packet can be in one
// Queue at a time. Walk it with
//
//	for p := q.Head(); p != nil; p = p.QNext() { … }
//
// A Queue holds no Go pointers and may itself be in a control block or off
// heap. Putting a packet in does not take a reference: the caller's goes over
// to the Queue, and to the caller again when it is taken out.
type Queue struct {
	head, tail uintptr
	n          int
}

// Len returns the number of packets.
func (q *Queue) Len() int { return q.n }

// Empty reports whether there is no packet in the Queue.
func (q *Queue) Empty() bool { return q.head == 0 }

// Head returns the first packet, nil if there is none, and leaves it there.
func (q *Queue) Head() *Pbuf { return load(&q.head) }

// Peek is Head.
func (q *Queue) Peek() *Pbuf { return load(&q.head) }

// Tail returns the last packet, nil if there is none, and leaves it there.
func (q *Queue) Tail() *Pbuf { return load(&q.tail) }

// Push adds p at the end.
func (q *Queue) Push(p *Pbuf) {
	if debug {
		p.markQueued()
	}
	q.link(p)
}

// link is Push without the checks, which a freed buffer would not pass.
func (q *Queue) link(p *Pbuf) {
	p.qnext = 0
	if q.head == 0 {
		q.head = addr(p)
	} else {
		at(q.tail).qnext = addr(p)
	}
	q.tail = addr(p)
	q.n++
}

// PushFront adds p at the front.
func (q *Queue) PushFront(p *Pbuf) {
	if debug {
		p.markQueued()
	}
	p.qnext = q.head
	q.head = addr(p)
	if q.tail == 0 {
		q.tail = addr(p)
	}
	q.n++
}

// Pop takes the first packet out and returns it, nil if there is none.
func (q *Queue) Pop() *Pbuf {
	p := load(&q.head)
	if p == nil {
		return nil
	}
	if debug {
		p.unmarkQueued()
	}
	q.head = p.qnext
	if q.head == 0 {
		q.tail = 0
	}
	q.n--
	p.qnext = 0
	return p
}

// InsertAfter adds p behind prev, which must be in this Queue, or at the front
// if prev is nil.
func (q *Queue) InsertAfter(prev, p *Pbuf) {
	switch {
	case prev == nil:
		q.PushFront(p)
	case addr(prev) == q.tail:
		q.Push(p)
	default:
		if debug {
			p.markQueued()
		}
		p.qnext = prev.qnext
		prev.qnext = addr(p)
		q.n++
	}
}

// RemoveAfter takes out the packet behind prev, or the first if prev is nil,
// and returns it, nil if there is none.
func (q *Queue) RemoveAfter(prev *Pbuf) *Pbuf {
	if prev == nil {
		return q.Pop()
	}
	p := prev.QNext()
	if p == nil {
		return nil
	}
	if debug {
		p.unmarkQueued()
	}
	prev.qnext = p.qnext
	if addr(p) == q.tail {
		q.tail = addr(prev)
	}
	q.n--
	p.qnext = 0
	return p
}

// Remove takes p out, after looking for it from the front, and reports whether
// it was there.
func (q *Queue) Remove(p *Pbuf) bool {
	var prev *Pbuf
	for f := q.Head(); f != nil; f = f.QNext() {
		if f == p {
			q.RemoveAfter(prev)
			return true
		}
		prev = f
	}
	return false
}

// Splice moves all packets of from to the end of q.
func (q *Queue) Splice(from *Queue) {
	if from.head == 0 {
		return
	}
	if q.head == 0 {
		q.head = from.head
	} else {
		at(q.tail).qnext = from.head
	}
	q.tail = from.tail
	q.n += from.n
	*from = Queue{}
}

// FreeAll takes out and frees all packets and returns how many there were.
func (q *Queue) FreeAll() int {
	if q.head == 0 {
		return 0
	}
	return q.freeAll()
}

func (q *Queue) freeAll() int {
	n := q.n
	for p := q.Pop(); p != nil; p = q.Pop() {
		p.Free()
	}
	return n
}
