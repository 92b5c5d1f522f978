//go:build amd64 && !pbufdebug

package sim

// What controllers of congestion get out of a link that loses frames. The table
// is a golden file: in simulated time it is the same on every run. It is made on
// one architecture, as others may round the floating point of controllers
// differently, and not with the buffers' checks, which are for bugs.
//
//	go test ./stack/sim -run TestGoodput -update

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/netem"
	"github.com/shardstack/shardstack/stack"
)

var update = flag.Bool("update", false, "write testdata/goodput.txt and docs/congestion.svg anew")

// The dumbbell: ten pairs of hosts, a flow each.
const (
	tableFlows = 10
	tableRate  = 100e6                 // of the bottleneck, bit/s
	tableRTT   = 40 * time.Millisecond // of an empty network
	tableQueue = 1_000_000             // bytes: what the link carries in two round trips
	tableMark  = 70_000                // DCTCP's step, about a seventh of what it carries in one (RFC 8257 4.1)
	tableWarm  = 5 * time.Second
	tableTime  = 40 * time.Second
	tailWarm   = 20 * time.Second // behind a drop-tail queue
	tailTime   = 60 * time.Second
	tableMSS   = 1448 // with timestamps
	tableFrame = 1514
	tableData  = tableRate / 1e6 * tableMSS / tableFrame // Mbit/s of data that the link can carry
)

var (
	tableLosses  = []float64{0, 0.001, 0.01, 0.03}
	tableControl = []string{"reno", "cubic", "bbr", "dctcp"}
	// Without other loss also behind a drop-tail queue of so many BDPs.
	tailControl = []string{"cubic", "bbr"}
	tailQueues  = []int{1, 2}
)

// cell is a row of the table.
type cell struct {
	control string
	loss    float64
	tail    int     // BDPs of a drop-tail queue, 0: RED
	goodput float64 // Mbit/s of all flows
	jain    float64
	least   float64 // Mbit/s of the slowest flow
	most    float64
	model   float64 // Mbit/s, see model
	resent  float64 // part of segments, %
	delay   float64 // mean wait in the bottleneck's queue, ms
	rtos    uint64
}

// model is the goodput that the response function of a controller promises, in
// Mbit/s, the link at most: Mathis et al. 1997 for AIMD, RFC 9438 5.1 for CUBIC
// where that is more. 0: no such function, or no loss to put into it.
func model(control string, p float64) float64 {
	if p == 0 || control != "cubic" && control != "reno" {
		return 0
	}
	rtt := tableRTT.Seconds()
	w := math.Sqrt(1.5 / p) // segments
	if control == "cubic" {
		w = max(w, math.Pow(0.4*3.7/1.2, 0.25)*math.Pow(rtt/p, 0.75))
	}
	return min(tableFlows*w*tableMSS*8/rtt/1e6, tableData)
}

// queue is that in front of the bottleneck.
func (c *cell) queue() netem.Queue {
	switch {
	case c.tail != 0:
		return netem.Queue{Bytes: c.tail * tableQueue / 2}
	case c.control == "dctcp":
		return netem.Queue{Bytes: tableQueue, MarkBytes: tableMark}
	}
	return netem.Queue{Kind: netem.RED, Bytes: tableQueue, MinBytes: tableQueue / 10, MaxBytes: tableQueue * 4 / 10}
}

// queueName is how the tables call it.
func (c *cell) queueName() string {
	switch {
	case c.tail != 0:
		return fmt.Sprintf("tail %d BDP", c.tail)
	case c.control == "dctcp":
		return "marks"
	}
	return "RED"
}

// times are how long the flows run before they are measured, and while.
func (c *cell) times() (warm, took time.Duration) {
	switch {
	case c.tail != 0:
		return tailWarm, tailTime
	case c.control == "reno" || c.control == "dctcp": // nothing is asked of them
		return tableWarm, tableTime / 4
	case c.control == "bbr" && c.loss > 0.02: // over its threshold each flow's share goes up and down for long
		return tableWarm, tableTime * 3
	}
	return tableWarm, tableTime
}

// measure runs the ten flows of a row.
func measure(t *testing.T, c cell) cell {
	n := newNet(t, 1)
	bottleneck := netem.Config{Rate: tableRate, Delay: tableRTT / 4, Queue: c.queue(), Loss: c.loss}
	back := bottleneck
	back.Loss = 0
	warm, took := c.times()
	cfg := stack.TCPConfig{Congestion: c.control, SendBuf: 1 << 20, RecvBuf: 2 << 20}
	d, err := n.AddDumbbell(DumbbellConfig{
		Pairs: tableFlows, Forth: bottleneck, Back: back, Access: netem.Config{Rate: 1e9, Delay: tableRTT / 8}, LeaveSums: true,
		Host: func(int, bool) HostConfig { return HostConfig{Stack: stack.Config{TCP: cfg}} },
	})
	require.NoError(t, err)
	var flows [tableFlows]*Flow
	for i := range flows {
		flows[i], err = n.AddFlow(FlowConfig{From: d.Left[i], To: d.Right[i], Port: 80})
		require.NoError(t, err)
	}
	n.Run(warm)
	var before [tableFlows]uint64
	var st stack.TCPStats
	for i, f := range flows {
		before[i] = f.Received()
		subtract(&st, d.Left[i].Stack().Stats())
	}
	c.model, c.least = model(c.control, c.loss), math.Inf(1)
	queued, samples := 0, 0
	for end := n.Now() + int64(took); n.Now() < end; samples++ {
		n.Run(10 * time.Millisecond)
		queued += d.Bottleneck.A().Queued()
	}
	c.delay = float64(queued) / float64(samples) * 8 / tableRate * 1e3
	var sum, squares float64
	for i, f := range flows {
		require.NoError(t, f.Err())
		rate := float64(f.Received()-before[i]) * 8 / took.Seconds() / 1e6
		sum += rate
		squares += float64(rate * rate)
		c.least, c.most = min(c.least, rate), max(c.most, rate)
		st.OutSegs += d.Left[i].Stack().Stats().TCP.OutSegs
		st.RetransSegs += d.Left[i].Stack().Stats().TCP.RetransSegs
		st.Timeouts += d.Left[i].Stack().Stats().TCP.Timeouts
	}
	c.goodput, c.jain = sum, sum*sum/(tableFlows*squares)
	c.resent = 100 * float64(st.RetransSegs) / float64(st.OutSegs)
	c.rtos = st.Timeouts
	return c
}

// subtract takes what was counted before the measurement off.
func subtract(st *stack.TCPStats, s *stack.Stats) {
	st.OutSegs -= s.TCP.OutSegs
	st.RetransSegs -= s.TCP.RetransSegs
	st.Timeouts -= s.TCP.Timeouts
}

// text is the table.
func text(cells []cell) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %d flows, bottleneck %.0f Mbit/s (%.1f of data), RTT %v, RED queue %d kB, %v measured after %v (Reno, DCTCP: %v; BBR at 3 %%: %v; drop-tail: %v after %v)\n",
		tableFlows, tableRate/1e6, tableData, tableRTT, tableQueue/1000, tableTime, tableWarm, tableTime/4, 3*tableTime, tailTime, tailWarm)
	b.WriteString("# control  queue       loss %  goodput Mbit/s  model Mbit/s  Jain    slowest  fastest  resent %  queue ms  RTOs\n")
	for _, c := range cells {
		m := "-"
		if c.model != 0 {
			m = fmt.Sprintf("%.2f", c.model)
		}
		fmt.Fprintf(&b, "%-9s  %-10s  %6.1f  %14.2f  %12s  %.4f  %7.2f  %7.2f  %8.2f  %8.2f  %4d\n",
			c.control, c.queueName(), c.loss*100, c.goodput, m, c.jain, c.least, c.most, c.resent, c.delay, c.rtos)
	}
	return b.Bytes()
}

// rows are the table's: those with RED, a controller after the other, as the chart
// has them, and those with drop-tail queues.
func rows() (cells []cell) {
	for _, control := range tableControl {
		for _, loss := range tableLosses {
			cells = append(cells, cell{control: control, loss: loss})
		}
	}
	for _, control := range tailControl {
		for _, tail := range tailQueues {
			cells = append(cells, cell{control: control, tail: tail})
		}
	}
	return cells
}

func TestGoodput(t *testing.T) {
	cells := rows()
	t.Run("cells", func(t *testing.T) {
		for i := range cells {
			t.Run(fmt.Sprintf("%s, %s at %.1f %%", cells[i].control, cells[i].queueName(), cells[i].loss*100), func(t *testing.T) {
				t.Parallel()
				cells[i] = measure(t, cells[i]) // each its own
			})
		}
	})
	if t.Failed() {
		return
	}
	got := text(cells)
	t.Logf("\n%s", got)
	const doc = "../../docs/congestion.md"
	old, err := os.ReadFile(doc)
	require.NoError(t, err)
	files := map[string][]byte{"testdata/goodput.txt": got, "../../docs/congestion.svg": chart(cells), doc: splice(t, old, markdown(cells))}
	for name, want := range files {
		if *update {
			require.NoError(t, os.WriteFile(name, want, 0o644))
		}
		have, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "%s is not what is measured: see -update", name)
	}
	for _, c := range cells {
		promise(t, c)
	}
}

// Marks in docs/congestion.md around what the test writes.
const (
	markBegin = "<!-- The test writes what follows, up to the end mark: see below. -->\n"
	markEnd   = "<!-- end of what the test writes -->\n"
)

// splice puts a table between the marks of a document.
func splice(t *testing.T, doc, table []byte) []byte {
	t.Helper()
	head, rest, ok := bytes.Cut(doc, []byte(markBegin))
	require.True(t, ok, "no begin mark")
	_, tail, ok := bytes.Cut(rest, []byte(markEnd))
	require.True(t, ok, "no end mark")
	return slices.Concat(head, []byte(markBegin), table, []byte(markEnd), tail)
}

// markdown is the table for people.
func markdown(cells []cell) []byte {
	var b bytes.Buffer
	b.WriteString("\n| control | queue | loss | goodput | model | Jain | slowest … fastest flow | resent | queue | RTOs |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, c := range cells {
		m := ""
		if c.model != 0 {
			m = fmt.Sprintf("%.1f", c.model)
		}
		fmt.Fprintf(&b, "| %s | %s | %g %% | %.1f Mbit/s | %s | %.3f | %.2f … %.2f | %.2f %% | %.1f ms | %d |\n",
			c.control, c.queueName(), c.loss*100, c.goodput, m, c.jain, c.least, c.most, c.resent, c.delay, c.rtos)
	}
	b.WriteString("\n")
	return b.Bytes()
}

// promise holds a row to what is asked of the controllers.
func promise(t *testing.T, c cell) {
	t.Helper()
	switch {
	case c.control == "cubic" && c.loss == 0.001:
		require.GreaterOrEqual(t, c.goodput, 0.9*c.model, "CUBIC at 0.1 %% loss: 90 %% of its response function")
	case c.control == "bbr" && c.loss == 0.01:
		require.GreaterOrEqual(t, c.goodput, 0.9*tableRate/1e6, "BBR at 1 %% loss: 90 %% of the link")
	}
	if c.control == "cubic" || c.control == "bbr" {
		require.Greater(t, c.jain, 0.95, "%s, %s at %.1f %% loss: equal flows get the same", c.control, c.queueName(), c.loss*100)
	}
}
