package netconn

import (
	"sync"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/ring"
)

// strays are freed buffers of a lane that come back from another shard than the
// lane's: one with a queue of the port sends for those without. As that may be
// any shard, and is rare, they take a list with a lock instead of a ring.
type strays struct {
	any ring.Flag
	mu  sync.Mutex
	ps  []*pbuf.Pbuf
}

// addStrays brings buffers home to the lane, whose watcher is woken if somebody
// waits for some. On another shard's thread.
func (l *lane) addStrays(ps []*pbuf.Pbuf) {
	st := &l.strays
	st.mu.Lock()
	st.ps = append(st.ps, ps...)
	st.mu.Unlock()
	st.any.Set()
	if l.wantBufs.IsSet() { // set before strays are looked for, see blockForBuffers
		l.alarm.ring()
	}
}

// takeStrays puts the strays into the pool and returns how many there were. The
// lane's lock is held.
func (l *lane) takeStrays() int {
	st := &l.strays
	st.mu.Lock()
	st.any.Clear()
	n := len(st.ps)
	l.pool.Return(st.ps)
	clear(st.ps)
	st.ps = st.ps[:0]
	st.mu.Unlock()
	return n
}
