package stack

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
)

// sacked is established by a client that takes selective acknowledgements.
const sacked = `
		listen
		< S 0 mss=1000 sackok
		> SA 0 ack=1 sackok
		< A 1 ack=1
		state ESTABLISHED
`

func TestSACK_RFC2018_2_Permitted(t *testing.T) {
	runScript(t, Config{}, `
		connect
		> S 0 mss=1460 sackok
		< SA 0 ack=1 mss=1000 sackok
		> A 1 ack=1
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=1001-2001
	`)
	// The peer does not offer it: no blocks.
	sc := runScript(t, noTS(), established+`
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=
	`)
	require.Zero(t, sc.pcb.flags&tfSack)
	cfg := noTS()
	cfg.TCP.NoSACK = true
	sc = runScript(t, cfg, `
		listen
		< S 0 mss=1000 sackok
		> SA 0 ack=1
		< A 1 ack=1
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=
	`)
	require.Zero(t, sc.pcb.flags&tfSack)
}

func TestSACK_RFC2018_4_LatestBlockFirst(t *testing.T) {
	sc := runScript(t, noTS(), sacked+`
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=1001-2001
		< A 3001 len=1000 ack=1
		> A 1 ack=1 sack=3001-4001,1001-2001
		< A 5001 len=1000 ack=1
		> A 1 ack=1 sack=5001-6001,3001-4001,1001-2001
		< A 7001 len=1000 ack=1
		> A 1 ack=1 sack=7001-8001,5001-6001,3001-4001,1001-2001
		< A 9001 len=1000 ack=1
		> A 1 ack=1 sack=9001-10001,7001-8001,5001-6001,3001-4001
		< A 4001 len=1000 ack=1   # joins two
		> A 1 ack=1 sack=3001-6001,9001-10001,7001-8001
		< A 1 len=1000 ack=1      # the first block is not known any more, but is there
		> A 1 ack=2001 sack=3001-6001,9001-10001,7001-8001
		< A 2001 len=1000 ack=1
		> A 1 ack=6001 sack=9001-10001,7001-8001
		< A 6001 len=1000 ack=1
		> A 1 ack=8001 sack=9001-10001
		< A 8001 len=1000 ack=1
		> A 1 ack=10001 sack=
		got 10000
	`)
	require.Nil(t, sc.pcb.cold.sack)
	require.Len(t, sc.s.tcp.sackOuts, 1)
}

func TestSACK_RFC2018_3_ThreeBlocksWithTimestamps(t *testing.T) {
	runScript(t, Config{}, `
		listen
		< S 0 mss=1012 ts=1000:0 sackok
		> SA 0 ts=1000 sackok
		< A 1 ack=1 ts=1001:0
		< A 1001 len=1000 ack=1 ts=1001:0
		< A 3001 len=1000 ack=1 ts=1001:0
		< A 5001 len=1000 ack=1 ts=1001:0
		< A 7001 len=1000 ack=1 ts=1001:0
		> A 1 ack=1 sack=1001-2001 ts=1001
		> A 1 ack=1 sack=3001-4001,1001-2001
		> A 1 ack=1 sack=5001-6001,3001-4001,1001-2001
		> A 1 ack=1 sack=7001-8001,5001-6001,3001-4001
	`)
}

func TestSACK_FinIsPartOfTheBlock(t *testing.T) {
	runScript(t, noTS(), sacked+`
		< FA 1001 len=1000 ack=1
		> A 1 ack=1 sack=1001-2002
	`)
}

func TestDSACK_RFC2883_4_1_1_DuplicateSegment(t *testing.T) {
	runScript(t, noTS(), sacked+`
		< A 1 len=1000 ack=1
		< A 1001 len=1000 ack=1
		> A 1 ack=2001 sack=
		< A 1001 len=1000 ack=1
		> A 1 ack=2001 sack=1001-2001
		< A 2001 len=1000 ack=1   # told once
		< A 3001 len=1000 ack=1
		> A 1 ack=4001 sack=
	`)
}

func TestDSACK_RFC2883_4_1_2_DuplicateAndOutOfOrder(t *testing.T) {
	runScript(t, noTS(), sacked+`
		< A 1 len=1000 ack=1
		< A 2001 len=1000 ack=1
		> A 1 ack=1001 sack=2001-3001
		< A 1 len=1000 ack=1
		> A 1 ack=1001 sack=1-1001,2001-3001
		< A 3001 len=1000 ack=1
		> A 1 ack=1001 sack=2001-4001
	`)
}

func TestDSACK_RFC2883_4_2_PartOfABlock(t *testing.T) {
	runScript(t, noTS(), sacked+`
		< A 2001 len=1000 ack=1
		> A 1 ack=1 sack=2001-3001
		< A 2001 len=1000 ack=1
		> A 1 ack=1 sack=2001-3001,2001-3001
		< A 2501 len=1000 ack=1   # half of it
		> A 1 ack=1 sack=2501-3001,2001-3501
		< A 1501 len=3000 ack=1   # all of it, and more
		> A 1 ack=1 sack=2001-3001,1501-4501
		< A 1001 len=1000 ack=1   # its end
		> A 1 ack=1 sack=1501-2001,1001-4501
	`)
}

func TestDSACK_RFC2883_4_2_1_PartiallyOld(t *testing.T) {
	runScript(t, noTS(), sacked+`
		< A 1 len=1000 ack=1
		< A 501 len=1000 ack=1
		> A 1 ack=1501 sack=501-1001
		got 1500
	`)
}

// TestSACK_DataCarriesNoBlocks: an ACK with blocks goes alone, before data.
func TestSACK_DataCarriesNoBlocks(t *testing.T) {
	sc := runScript(t, noTS(), sacked)
	sc.pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		n := p.TotLen()
		p.Free()
		pcb.Recved(n)
		return pcb.Write(make([]byte, 1000), 0)
	})
	sc.run(`
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=1001-2001
		< A 3001 len=1000 ack=1
		> A 1 ack=1 sack=3001-4001,1001-2001
		< A 1 len=1000 ack=1
		> A 1 ack=2001 sack=3001-4001
		> PA 1 len=1000 ack=2001
		> PA 1001 len=1000 ack=2001
	`)
}

// TestSACK_RFC2018_8_Reneging: what was given up is not told any more.
func TestSACK_RFC2018_8_Reneging(t *testing.T) {
	sc := runScript(t, noTS(), sacked+`
		< A 1001 len=1000 ack=1
		> A 1 ack=1 sack=1001-2001
	`)
	sc.pcb.purgeOOSeq()
	sc.run(`
		< A 3001 len=1000 ack=1
		> A 1 ack=1 sack=3001-4001
	`)
}
