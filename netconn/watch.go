package netconn

// watch is the goroutine that drains a lane while everybody else sleeps, and
// when the shard calls for it.
func (l *lane) watch() {
	defer l.net.watchers.Done()
	for l.alarm.wait() {
		l.lock()
		l.armed = false
		l.bell.Clear()
		relieve := l.urgent.Clear()
		l.drain()
		if relieve {
			l.relieve()
		}
		if l.dead.IsSet() {
			l.wakeAll()
		}
		l.unlock()
		if l.dead.IsSet() {
			l.net.wakeInboxes()
		}
	}
}

// callWatcher has the lane drained for those who sleep. On the shard's thread,
// which has just taken the bell, and owes an event to one of them.
//
// A shard that is a goroutine itself drains in the watcher's place, if it need
// not wait for that: neither for the lock, whose holder may be waiting for the
// shard to make room in the ring of requests, nor for room in that ring. Each
// event leads to one request at the most, the return of a buffer.
func (l *lane) callWatcher() {
	if !l.sh.HasThread() && l.mu.TryLock() {
		if l.reqs.Free() > l.events.Len() {
			l.armed = false
			l.drain()
			l.unlock()
			return
		}
		l.mu.Unlock() // the bell is still on its way
	}
	l.alarm.ring()
}

// wakeAll readies every goroutine that sleeps on the lane.
func (l *lane) wakeAll() {
	for l.asleep != nil {
		l.ready(l.asleep)
	}
}

// relieve returns the buffers of unread data to the shard, which runs out of
// them: the data goes to the heap.
func (l *lane) relieve() {
	for c := l.conns; c != nil; {
		next := c.app.next
		if c.app.unread == 0 && !c.app.reading {
			c.unlist() // until it receives something again
		} else {
			c.toHeap()
		}
		c = next
	}
	l.kick()
}
