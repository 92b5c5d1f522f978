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
