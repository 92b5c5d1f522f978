package sim

// event is something that wants to run at a time: a host, a direction of a link,
// the timers.
type event interface {
	key() *eventKey
	// wake runs it at the network's time, and says when it wants to run again.
	wake(n *Network) (next int64)
}

// eventKey is an event's place in the heap; events embed it.
type eventKey struct {
	at  int64
	id  int // order among events of one time
	pos int
}

func (k *eventKey) key() *eventKey { return k }

// eventHeap is all events, the next one first. Those of one time come in the
// order in which they were added: who runs first never depends on the heap.
type eventHeap struct{ list []event }

func (h *eventHeap) first() event { return h.list[0] }

func (h *eventHeap) less(i, j int) bool {
	a, b := h.list[i].key(), h.list[j].key()
	return a.at < b.at || a.at == b.at && a.id < b.id
}

func (h *eventHeap) swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].key().pos, h.list[j].key().pos = i, j
}

// add adds an event that wants to run never.
func (h *eventHeap) add(e event) {
	*e.key() = eventKey{at: Forever, id: len(h.list), pos: len(h.list)}
	h.list = append(h.list, e)
}

// move gives an event another time.
func (h *eventHeap) move(e event, at int64) {
	k := e.key()
	if k.at == at {
		return
	}
	k.at = at
	i := k.pos
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		least := 2*i + 1
		if least >= len(h.list) {
			return
		}
		if least+1 < len(h.list) && h.less(least+1, least) {
			least++
		}
		if !h.less(least, i) {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// timerQueue is the functions given to At, as one event.
type timerQueue struct {
	eventKey
	list []timer // a heap
	seq  uint64
}

type timer struct {
	at  int64
	seq uint64
	fn  func()
}

func (q *timerQueue) next() int64 {
	if len(q.list) == 0 {
		return Forever
	}
	return q.list[0].at
}

func (q *timerQueue) less(i, j int) bool {
	a, b := &q.list[i], &q.list[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (q *timerQueue) add(at int64, fn func()) {
	q.seq++
	q.list = append(q.list, timer{at, q.seq, fn})
	for i := len(q.list) - 1; i > 0 && q.less(i, (i-1)/2); i = (i - 1) / 2 {
		q.list[i], q.list[(i-1)/2] = q.list[(i-1)/2], q.list[i]
	}
}

// pop takes the first timer out; there is one.
func (q *timerQueue) pop() timer {
	t := q.list[0]
	last := len(q.list) - 1
	q.list[0] = q.list[last]
	q.list[last] = timer{}
	q.list = q.list[:last]
	for i := 0; ; {
		least := 2*i + 1
		if least >= last {
			return t
		}
		if least+1 < last && q.less(least+1, least) {
			least++
		}
		if !q.less(least, i) {
			return t
		}
		q.list[i], q.list[least] = q.list[least], q.list[i]
		i = least
	}
}

// wake calls the functions that are due. They may have called any stack.
func (q *timerQueue) wake(n *Network) int64 {
	for q.next() <= n.now {
		for _, h := range n.hosts {
			h.stack.SetNow(n.now)
		}
		q.pop().fn()
	}
	n.settle()
	return q.next()
}
