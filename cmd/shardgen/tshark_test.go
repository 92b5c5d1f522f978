package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/internal/testenv"
)

// broken is a display filter for what is never right: malformed packets and
// bad checksums. A kernel's 0xffff is a checksum of 0 (skb_checksum_help, for
// UDP's sake), which tshark takes for a wrong one.
const broken = "(_ws.malformed || _ws.expert.severity == error" +
	" || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0)" +
	" && !(ip.src == " + labKernel + " && tcp.checksum == 0xffff && tcp.checksum_calculated == 0)"

// repeated is one for what TCP's analysis calls lost, repeated or out of order.
// A wire that is clean has none of it, unless a program was kept from its core
// for as long as a retransmission timer runs.
const repeated = "tcp.analysis.retransmission || tcp.analysis.fast_retransmission || tcp.analysis.spurious_retransmission" +
	" || tcp.analysis.out_of_order || tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment" +
	" || tcp.analysis.duplicate_ack || tcp.analysis.zero_window_probe"

// tshark gives the frames of a capture that match filter, one a line.
func tshark(t testing.TB, file, filter string) []string {
	t.Helper()
	cmd := exec.Command(testenv.Tool(t, "tshark"), "-r", file, "-n",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
		"-Y", filter)
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	require.NoError(t, err, log.String())
	text := strings.TrimSpace(string(out))
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// tries is how often a run may be repeated that a busy machine has spoilt.
const tries = 3

// cleanRuns has run write a capture, and asserts that it has all the data that
// the report tells of, and that tshark finds nothing wrong with it. A run with
// retransmissions is repeated: what the stack does wrong, it does wrong each
// time.
func cleanRuns(t *testing.T, run func(file string) *report) {
	t.Helper()
	for i := 1; ; i++ {
		file := filepath.Join(t.TempDir(), "run.pcapng")
		r := run(file)
		clean(t, r)
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.NotZero(t, r.Totals.BytesOut)
		require.Greater(t, info.Size(), int64(r.Totals.BytesOut+r.Totals.BytesIn))
		if len(tshark(t, file, "("+broken+") || "+repeated)) == 0 {
			return
		}
		require.Empty(t, tshark(t, file, broken))
		again := tshark(t, file, repeated)
		if i == tries {
			require.Empty(t, again, "in each of %d runs", tries)
		}
		t.Logf("run %d: %d frames lost or repeated, as %s", i, len(again), again[0])
	}
}

func TestTsharkFindsNothingWrong(t *testing.T) {
	testenv.Tool(t, "tshark")
	l := newLab(t)
	l.listen("7", echoLoop)
	l.listen("9", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	errs := make(chan error, 2*tries)
	l.listen("5201", exchangeServer(errs))
	for _, args := range [][]string{
		{"exchange", "--size=10M", "--conns=2"},
		{"tcp", "--count=1280"},
		{"rr", "--count=3000", "--conns=20"},
		{"cps", "--count=500"},
		{"ping", "--count=100", "--rate=0", "--size=3000"},
	} {
		t.Run(args[0], func(t *testing.T) {
			cleanRuns(t, func(file string) *report {
				r := l.measure(1, append(args, "--pcap="+file)...)
				for range len(errs) {
					require.NoError(t, <-errs)
				}
				return r
			})
		})
	}
}

func TestTsharkFindsNothingWrongWithTheServer(t *testing.T) {
	testenv.Tool(t, "tshark")
	l := newLab(t)
	cleanRuns(t, func(file string) *report {
		end := l.serve(1, "--pcap="+file)
		out := l.output("curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{size_download}", "http://"+labStack+"/bytes/20000000")
		require.Equal(t, "20000000", out)
		require.NoError(t, l.exchange(10<<20))
		l.output("ping", "-q", "-f", "-c", "100", "-s", "5000", labStack)
		return end()
	})
}

// TestTsharkFindsWhatIsWrong shows that the filter of the other tests would
// find a broken frame: it flips a bit of the payload of a clean capture.
func TestTsharkFindsWhatIsWrong(t *testing.T) {
	testenv.Tool(t, "tshark")
	file := filepath.Join(t.TempDir(), "run.pcapng")
	measureJSON(t, "rr", "--count=20", "--conns=1", "--pcap="+file, corelist(t, 2))
	require.Len(t, tshark(t, file, "tcp.len == 64"), 40)
	require.Empty(t, tshark(t, file, broken))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	i := strings.Index(string(b), string(load.NewPattern(load.PatternSeed)[:64]))
	require.Positive(t, i, "no request in the capture")
	b[i+10] ^= 1
	require.NoError(t, os.WriteFile(file, b, 0o600))
	require.Len(t, tshark(t, file, broken), 1)
}
