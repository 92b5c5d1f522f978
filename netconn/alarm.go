package netconn

import (
	"encoding/binary"
	"os"
)

// alarm wakes the watcher of a lane from any thread. A shard with a thread of
// its own does so by a file, for it is the runtime's network poller that runs
// the goroutine then: readied on the shard's thread, it would queue behind the
// shard, which does not yield. One without a thread yields: a channel will do.
type alarm struct {
	r, w *os.File      // nil: c
	c    chan struct{} // with room for the ring that comes before wait
	done chan struct{} // closed
}

// newAlarm makes an alarm that a shard with or without a thread can ring.
func newAlarm(threaded bool) (*alarm, error) {
	if threaded {
		return newFileAlarm()
	}
	return &alarm{c: make(chan struct{}, 1), done: make(chan struct{})}, nil
}

// one is the number 1 in the machine's byte order.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// ring ends the present wait or the next. Any thread.
func (a *alarm) ring() {
	if a.w != nil {
		_, _ = a.w.Write(one[:alarmLen])
		return
	}
	select {
	case a.c <- struct{}{}:
	default: // one is waiting already
	}
}

// wait sleeps until ring; false when the alarm is closed. One goroutine.
func (a *alarm) wait() bool {
	if a.r != nil {
		var b [64]byte
		_, err := a.r.Read(b[:])
		return err == nil
	}
	select {
	case <-a.c:
		return true
	case <-a.done:
		return false
	}
}

// close ends wait for good. It is called once.
func (a *alarm) close() {
	if a.r == nil {
		close(a.done)
		return
	}
	_ = a.r.Close() // no data that could be lost
	if a.w != a.r {
		_ = a.w.Close()
	}
}
