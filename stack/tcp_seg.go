package stack

import (
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
)

// tcpSeg is a segment that is queued for sending, waits for its
// acknowledgement, or arrived out of order (struct tcp_seg). It lives in the
// control block of the first pbuf of its data, so a segment costs no
// allocation and the queues are pbuf.Queues.
type tcpSeg struct {
	sentAt int64      // when it was last sent
	seq    header.Seq // of the first byte, or of SYN or FIN alone
	n      uint32     // bytes of data
	flags  header.TCPFlags
	tx     uint8  // how often it was sent
	hdr    uint8  // bytes of headers in front of the data at the moment
	sumOK  bool   // sum is the checksum of the data
	sum    uint16 // running RFC 1071 sum of the data

	mark uint8 // seg… of tcp_loss.go
	pull bool  // the data is made when it is sent (tcp_pull.go)

	appLimited bool       // with rate: the application did not fill the window
	run, apart bool       // laid out as frames, and taken apart into these (tcp_gso_run.go)
	rate       segRate    // for delivery rate estimation
	last       uintptr    // with run, and not apart: the last buffer
	parts      pbuf.Parts // with apart: the frames behind the first
}

// seg is the segment whose first buffer p is.
func seg(p *pbuf.Pbuf) *tcpSeg { return pbuf.CB[tcpSeg](p) }

// seqLen is how much sequence space the segment takes: data, SYN and FIN.
func (g *tcpSeg) seqLen() uint32 {
	n := g.n
	if g.flags&header.TCPSyn != 0 {
		n++
	}
	if g.flags&header.TCPFin != 0 {
		n++
	}
	return n
}

// end is the sequence number after the segment.
func (g *tcpSeg) end() header.Seq { return g.seq.Add(g.seqLen()) }
