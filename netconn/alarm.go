package netconn

import (
	"encoding/binary"
	"os"
)

// alarm wakes a goroutine from any thread by a file, so that it is the
// runtime's network poller that runs the goroutine: a goroutine readied on a
// shard's thread would queue behind the shard, which does not yield.
type alarm struct{ r, w *os.File }

// one is the number 1 in the machine's byte order.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// ring ends the present wait or the next. Any thread.
func (a *alarm) ring() { _, _ = a.w.Write(one[:alarmLen]) }

// wait sleeps until ring; false when the alarm is closed. One goroutine.
func (a *alarm) wait() bool {
	var b [64]byte
	_, err := a.r.Read(b[:])
	return err == nil
}

// close ends wait for good.
func (a *alarm) close() {
	_ = a.r.Close() // no data that could be lost
	if a.w != a.r {
		_ = a.w.Close()
	}
}
