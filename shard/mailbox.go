package shard

import "sync"

// mailbox holds the functions that other threads want run on the shard's. It
// is the slow way in, with a lock and allocations; packets take the mesh and
// applications have rings of their own behind a Poller.
type mailbox struct {
	mu     sync.Mutex
	list   []letter
	closed error

	// The shard's thread only: the letters in work, and the next of them.
	batch []letter
	next  int
}

// letter is one message; one of its functions is set.
type letter struct {
	fn   func(*Shard)
	call func(*Shard) error
	done chan error // of call; has room for the answer
}

// Do runs fn on the shard's thread, in its next round, and does not wait. What
// is sent from one thread runs in the order sent. ErrStopped: the shard has
// ended; fn is not run. fn may be dropped when the group stops meanwhile. Any
// thread.
//
// Before Start and with Config.Manual, fn runs at once on the caller's thread.
func (s *Shard) Do(fn func(*Shard)) error {
	return s.post(letter{fn: fn})
}

// Call runs fn on the shard's thread and returns its error, or ErrStopped if
// the shard ended before it ran. Called on the shard's own goroutine, it runs fn
// at once. Any thread; two shards that Call each other at the same time wait
// for ever.
func (s *Shard) Call(fn func(*Shard) error) error {
	if s.onThread() {
		return fn(s)
	}
	done := make(chan error, 1)
	if err := s.post(letter{call: fn, done: done}); err != nil {
		return err
	}
	return <-done
}

func (s *Shard) post(l letter) error {
	if s.g.inline() {
		s.deliver(&l)
		return nil
	}
	m := &s.mail
	m.mu.Lock()
	closed := m.closed
	if closed == nil {
		m.list = append(m.list, l)
	}
	m.mu.Unlock()
	if closed != nil {
		return closed
	}
	s.notify()
	return nil
}

func (s *Shard) deliver(l *letter) {
	if l.fn != nil {
		l.fn(s)
		return
	}
	l.done <- l.call(s)
}

// readMail runs what was posted before it was called.
func (s *Shard) readMail() int {
	m := &s.mail
	m.mu.Lock()
	m.batch, m.list = m.list, m.batch[:0]
	m.mu.Unlock()
	n := len(m.batch)
	for m.next = 0; m.next < n; m.next++ {
		s.deliver(&m.batch[m.next])
	}
	clear(m.batch)
	m.batch, m.next = m.batch[:0], 0
	s.n.Calls += uint64(n)
	return n
}

// close refuses further letters and answers those that were not run, the one
// that a panic interrupted among them.
func (m *mailbox) close(why error) {
	m.mu.Lock()
	m.closed = why
	batch, list := m.batch[m.next:], m.list
	m.batch, m.list, m.next = nil, nil, 0
	m.mu.Unlock()
	for _, letters := range [][]letter{batch, list} {
		for i := range letters {
			if letters[i].done != nil {
				letters[i].done <- why
			}
		}
	}
}
