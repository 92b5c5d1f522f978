package port

import "github.com/shardstack/shardstack/pbuf"

// Frame is a frame that passes an observed port. It is the observer's only
// during Append.
type Frame struct {
	Packet *pbuf.Pbuf // to be looked at, not changed or kept
	Time   int64      // of the burst, or of arrival if the port knows it (RxTime); ns
	Queue  int
	Sent   bool // sent, not received
}

// Observer makes records of frames: lines of text, or blocks of a capture file.
type Observer interface {
	// Append appends the record of a frame to buf. The threads of several
	// queues may call it at a time.
	Append(buf []byte, f *Frame) []byte

	// Write takes the records of the frames of a burst that have been sent or
	// received. The threads of several queues may call it at a time. The bytes
	// are its own only during the call.
	Write(records []byte)
}

// Observe returns a port that is p with an observer of all frames: those that
// RxBurst returns and those that TxBurst takes. The wrapper allocates nothing
// once its buffers have grown to the size of a burst.
func Observe(p Port, o Observer) Wrapper {
	return &observed{Port: p, observer: o, queues: make([]records, p.Info().Queues)}
}

// observed passes everything on but the bursts.
type observed struct {
	Port
	observer Observer
	queues   []records
}

// records are those of the burst under way on one queue; its thread owns them.
type records struct {
	frame Frame
	buf   []byte
	ends  []int // where each record ends in buf
}

// Unwrap implements Wrapper.
func (o *observed) Unwrap() Port { return o.Port }

// RxBurst implements Port.
func (o *observed) RxBurst(q int, now int64, dst []*pbuf.Pbuf) int {
	n := o.Port.RxBurst(q, now, dst)
	if n > 0 {
		r := &o.queues[q]
		r.frame = Frame{Queue: q}
		o.record(r, now, dst[:n])
		o.observer.Write(r.buf)
	}
	return n
}

// TxBurst implements Port. Records are made before the frames are the port's,
// and written for those that it took.
func (o *observed) TxBurst(q int, now int64, ps []*pbuf.Pbuf) int {
	r := &o.queues[q]
	r.frame = Frame{Queue: q, Sent: true}
	o.record(r, now, ps)
	n := o.Port.TxBurst(q, now, ps)
	if n > 0 {
		o.observer.Write(r.buf[:r.ends[n-1]])
	}
	return n
}

// record makes the records of a burst.
func (o *observed) record(r *records, now int64, ps []*pbuf.Pbuf) {
	r.buf, r.ends = r.buf[:0], r.ends[:0]
	for _, p := range ps {
		r.frame.Packet, r.frame.Time = p, now
		if !r.frame.Sent && p.Flags&pbuf.RxTime != 0 {
			r.frame.Time = p.Time
		}
		r.buf = o.observer.Append(r.buf, &r.frame)
		r.ends = append(r.ends, len(r.buf))
	}
	r.frame.Packet = nil
}
