package stack

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

// A TCP test is a script: what a peer sends (<), what the stack must answer
// (>), what the user does and sees. One line is one step:
//
//	listen [backlog]          a listener whose connections the user accepts
//	connect                   the user opens; the peer is at 198.18.0.2:80
//	< FLAGS SEQ [len=N] [ack=N] [win=N] [mss=N] [ws=N] [ts=VAL:ECR] [port=N]
//	            [sackok] [sack=LEFT-RIGHT,…] [fo=HEX|good|]
//	> FLAGS SEQ …             the next segment out; fields not named may be any;
//	                          times=N: so many, each where the one before ends
//	>                         nothing (more) was sent
//	+DUR                      time passes, timers run
//	write N, close, shutdown, shutdownrx, abort, recved N, nodelay, pause, resume
//	got N, eof, noeof         bytes the user received since the last got; FIN seen
//	acked N                   bytes reported to SentFunc since the last acked
//	state S, err E, accepted N, drop REASON N, stat NAME N
//
// FLAGS are letters of FSRPAU, or "." for none; P is ignored in comparisons
// unless named. SEQ and ack are relative to each side's initial number. ts=
// alone in > means that the option is there. Lines after # are comments.

const (
	peerISN  = 0xfffffff0 // so that every test crosses the wrap
	peerPort = 80
	userPort = 7777
)

var (
	scriptMAC  = header.MAC{2, 0, 0, 0, 0, 1}
	scriptPeer = header.MAC{2, 0, 0, 0, 0, 2}
	userIP     = netip.MustParseAddr("198.18.0.1")
	peerIP     = netip.MustParseAddr("198.18.0.2")
)

type script struct {
	t        *testing.T
	s        *Stack
	nif      *Netif
	pool     *pbuf.Pool
	now      int64
	out      []outSeg
	iss      map[uint16]header.Seq // by peer port
	lport    uint16
	port     uint16 // peer's, of the latest < line
	pcb      *TCP
	accepted int
	got      int
	acked    int
	eof      bool
	paused   bool
	hold     bool // do not call Recved
	err      error
	line     string
	n        int
}

// outSeg is a segment that the stack sent.
type outSeg struct {
	flags    header.TCPFlags
	seq, ack header.Seq
	win      int
	n        int
	port     uint16
	opts     header.TCPOptions
	tos      int
	raw      []byte
}

// runScript runs a script on a stack with the given configuration.
func runScript(t *testing.T, cfg Config, text string) *script {
	t.Helper()
	sc := newScript(t, cfg)
	sc.run(text)
	return sc
}

func newScript(t *testing.T, cfg Config) *script {
	t.Helper()
	sc := &script{t: t, now: int64(time.Hour), iss: map[uint16]header.Seq{}, lport: userPort, port: peerPort}
	sc.pool = pbuftest.NewPool(t, pbuf.Config{Small: 512, Buffers: 512})
	cfg.Pool = sc.pool
	if cfg.Seed == ([32]byte{}) {
		cfg.Seed[0] = 1
	}
	s, err := New(cfg)
	require.NoError(t, err)
	sc.s = s
	s.SetNow(sc.now)
	sc.nif, err = s.AddNetif(NetifConfig{MAC: scriptMAC, Output: sc.output})
	require.NoError(t, err)
	require.NoError(t, sc.nif.AddAddr(netip.PrefixFrom(userIP, 24)))
	require.NoError(t, s.AddNeighbor(sc.nif, peerIP, scriptPeer))
	s.Flush(sc.now)
	sc.out = nil // the announcement
	t.Cleanup(s.Close)
	return sc
}

// output takes what the stack sends and checks every checksum.
func (sc *script) output(ps []*pbuf.Pbuf) int {
	for _, p := range ps {
		b := make([]byte, p.TotLen())
		p.CopyPartial(b, 0)
		p.Free()
		eth, _ := header.ParseEthernet(b)
		if eth.Type() != header.EtherTypeIPv4 {
			continue
		}
		b = b[header.EthernetLen:]
		ip, hl, total, fault := header.ParseIPv4(b)
		require.Zero(sc.t, fault, "IPv4 out: %v", fault)
		require.True(sc.t, ip.VerifyChecksum(b[:hl]), "IPv4 checksum")
		if ip.Protocol() != header.ProtoTCP {
			continue
		}
		b = b[hl:total]
		h, n, fault := header.ParseTCP(b)
		require.Zero(sc.t, fault, "TCP out: %v", fault)
		sum := header.PseudoHeader(ip.Src(), ip.Dst(), header.ProtoTCP, uint32(len(b)))
		require.Equal(sc.t, uint16(0xffff), header.Checksum(b, sum), "TCP checksum")
		o := outSeg{flags: h.Flags(), seq: h.Seq(), ack: h.Ack(), win: int(h.Window()), n: len(b) - n, port: h.DstPort(), tos: int(ip.TOS()), raw: b}
		require.Zero(sc.t, header.ParseTCPOptions(b[header.TCPLen:n], &o.opts))
		sc.lport = h.SrcPort()
		if o.flags&header.TCPSyn != 0 {
			sc.iss[o.port] = o.seq
		}
		sc.out = append(sc.out, o)
	}
	return len(ps)
}

func (sc *script) run(text string) {
	sc.t.Helper()
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		sc.n++
		if f := strings.Fields(line); len(f) > 0 {
			sc.line = strings.TrimSpace(line)
			sc.step(f[0], f[1:])
			sc.s.Flush(sc.now)
			checkInvariants(sc.t, sc.s)
		}
	}
}

func (sc *script) fail(format string, a ...any) {
	sc.t.Helper()
	sc.t.Fatalf("step %d %q: %s", sc.n, sc.line, fmt.Sprintf(format, a...))
}

func (sc *script) step(cmd string, args []string) {
	sc.t.Helper()
	switch {
	case cmd == "<":
		sc.in(args)
	case cmd == ">":
		sc.expect(args)
	case cmd[0] == '+':
		d, err := time.ParseDuration(cmd[1:])
		require.NoError(sc.t, err)
		sc.advance(int64(d))
	case len(args) == 0:
		sc.user(cmd, 0)
	case cmd == "state" || cmd == "err" || cmd == "drop" || cmd == "stat":
		sc.check(cmd, args)
	default:
		n, err := strconv.Atoi(args[0])
		require.NoError(sc.t, err)
		sc.user(cmd, n)
	}
}

// advance lets time pass, stopping wherever the stack wants to run.
func (sc *script) advance(d int64) {
	end := sc.now + d
	for {
		next := sc.s.NextTimeout()
		if next > end {
			break
		}
		sc.now = max(next, sc.now+1)
		sc.s.Poll(sc.now)
		sc.s.Flush(sc.now)
	}
	sc.now = end
	sc.s.Poll(end)
}

// user is a call or a check of the application.
func (sc *script) user(cmd string, n int) {
	sc.t.Helper()
	sc.s.SetNow(sc.now)
	switch cmd {
	case "listen":
		l := sc.s.NewTCP()
		require.NoError(sc.t, l.Bind(netip.AddrPortFrom(netip.Addr{}, userPort)))
		l.SetAccept(func(_ any, pcb *TCP, _ error) error {
			sc.accepted++
			sc.attach(pcb)
			return nil
		})
		require.NoError(sc.t, l.Listen(n))
		sc.pcb = l
	case "connect":
		pcb := sc.s.NewTCP()
		sc.attach(pcb)
		require.NoError(sc.t, pcb.Connect(netip.AddrPortFrom(peerIP, peerPort), nil))
	case "write":
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i)
		}
		if err := sc.pcb.Write(b, 0); err != nil {
			sc.err = err
		}
		_ = sc.pcb.Output()
	case "close":
		sc.err = sc.pcb.Close()
	case "shutdown":
		sc.err = sc.pcb.Shutdown(false, true)
	case "shutdownrx":
		sc.err = sc.pcb.Shutdown(true, false)
	case "abort":
		sc.pcb.Abort()
	case "recved":
		sc.pcb.Recved(n)
	case "nodelay":
		sc.pcb.SetNoDelay(true)
	case "pause":
		sc.paused = true
	case "resume":
		sc.paused = false
	case "hold":
		sc.hold = true
	case "keepalive":
		sc.pcb.SetKeepAlive(&KeepAlive{Idle: 10 * time.Second, Interval: time.Second, Count: 3})
	default:
		sc.sees(cmd, n)
	}
}

func (sc *script) sees(cmd string, n int) {
	sc.t.Helper()
	equal := func(have int) {
		if have != n {
			sc.fail("have %d", have)
		}
	}
	switch cmd {
	case "got":
		equal(sc.got)
		sc.got = 0
	case "acked":
		equal(sc.acked)
		sc.acked = 0
	case "accepted":
		equal(sc.accepted)
	case "eof", "noeof":
		if sc.eof != (cmd == "eof") {
			sc.fail("eof is %v", sc.eof)
		}
	default:
		sc.fail("unknown command")
	}
}

func (sc *script) check(cmd string, args []string) {
	sc.t.Helper()
	switch cmd {
	case "state":
		if have := sc.pcb.State().String(); have != args[0] {
			sc.fail("state is %s", have)
		}
	case "err":
		want := map[string]error{"reset": ErrReset, "refused": ErrRefused, "timeout": ErrTimeout, "aborted": ErrAborted,
			"closed": ErrClosed, "mem": ErrMem, "conn": ErrConn, "none": nil}[args[0]]
		if !errors.Is(sc.err, want) {
			sc.fail("error is %v", sc.err)
		}
		sc.err = nil
	case "drop":
		n, _ := strconv.Atoi(args[1])
		for r, name := range dropNames {
			if name == args[0] {
				if have := sc.s.stats.Drops[r]; have != uint64(n) {
					sc.fail("dropped %d", have)
				}
				return
			}
		}
		sc.fail("no such reason")
	case "stat":
		st := &sc.s.stats.TCP
		have, ok := map[string]uint64{"timeouts": st.Timeouts, "fastretransmits": st.FastRetransmits, "retrans": st.RetransSegs,
			"predicted": st.PredictedHits, "estab": st.CurrEstab, "pcbs": st.CurrPCBs, "resets": st.EstabResets,
			"attemptfails": st.AttemptFails, "cookiessent": st.SynCookiesSent,
			"cookiesrecv": st.SynCookiesRecv, "cookiesfailed": st.SynCookiesFailed, "challenges": st.ChallengeAcks, "usertimeouts": st.UserTimeouts,
			"reused": st.TimeWaitReused, "overflows": st.ListenOverflows}[args[0]]
		if !ok {
			sc.fail("no such statistic")
		}
		if want, _ := strconv.Atoi(args[1]); have != uint64(want) {
			sc.fail("is %d", have)
		}
	}
}

// attach makes the script the user of a connection.
func (sc *script) attach(pcb *TCP) {
	sc.pcb = pcb
	pcb.SetRecv(func(_ any, pcb *TCP, p *pbuf.Pbuf, _ error) error {
		switch {
		case p == nil:
			sc.eof = true
			return nil
		case sc.paused:
			return ErrMem
		}
		n := p.TotLen()
		sc.got += n
		p.Free()
		if !sc.hold {
			pcb.Recved(n)
		}
		return nil
	})
	pcb.SetSent(func(_ any, _ *TCP, n int) error {
		sc.acked += n
		return nil
	})
	pcb.SetErr(func(_ any, err error) { sc.err = err })
}

// fields parses "FLAGS SEQ key=value …".
func (sc *script) fields(args []string) (flags header.TCPFlags, seq int, kv map[string]string) {
	sc.t.Helper()
	for _, c := range args[0] {
		if i := strings.IndexRune("FSRPAUEC", c); i >= 0 {
			flags |= 1 << i
		}
	}
	seq, err := strconv.Atoi(args[1])
	require.NoError(sc.t, err, sc.line)
	kv = map[string]string{}
	for _, a := range args[2:] {
		k, v, _ := strings.Cut(a, "=")
		kv[k] = v
	}
	return flags, seq, kv
}

func number(s string, def int) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return def
}

// in is a segment from the peer.
func (sc *script) in(args []string) {
	sc.t.Helper()
	flags, seq, kv := sc.fields(args)
	sc.port = uint16(number(kv["port"], peerPort))
	var opts [40]byte
	n := 0
	if v, ok := kv["mss"]; ok {
		n += header.PutMSS(opts[n:], uint16(number(v, 0)))
	}
	if v, ok := kv["ws"]; ok {
		n += header.PutWScale(opts[n:], uint8(number(v, 0)))
	}
	if v, ok := kv["uto"]; ok {
		n += header.PutUserTimeout(opts[n:], uint16(number(v, 0)))
	}
	if v, ok := kv["fo"]; ok {
		n += header.PutFastOpen(opts[n:], sc.cookie(v), false)
	}
	if v, ok := kv["ts"]; ok {
		val, ecr, _ := strings.Cut(v, ":")
		n += header.PutTimestamp(opts[n:], uint32(number(val, 0)), uint32(number(ecr, 0)))
	}
	if _, ok := kv["sackok"]; ok {
		n += header.PutSACKPermitted(opts[n:])
	}
	if v, ok := kv["sack"]; ok {
		n += header.PutSACK(opts[n:], sackBlocks(v, sc.iss[sc.port]))
	}
	data := number(kv["len"], 0)
	f := header.TCPFields{
		SrcPort: sc.port, DstPort: sc.lport, Seq: header.Seq(uint32(peerISN)).Add(uint32(seq)), Flags: flags,
		HdrLen: uint8(header.TCPLen + n), Window: uint16(number(kv["win"], 65535)),
	}
	if v, ok := kv["ack"]; ok {
		f.Ack = sc.iss[sc.port].Add(uint32(number(v, 0)))
	}
	b := make([]byte, header.EthernetLen+header.IPv4Len+header.TCPLen+n+data)
	(*header.Ethernet)(b).Encode(scriptMAC, scriptPeer, header.EtherTypeIPv4)
	l4 := b[header.EthernetLen+header.IPv4Len:]
	src, dst := header.FromNetip(peerIP), header.FromNetip(userIP)
	(*header.IPv4)(b[header.EthernetLen:]).Encode(&header.IPv4Fields{TotalLen: uint16(len(b) - header.EthernetLen), TTL: 64, TOS: uint8(number(kv["tos"], 0)),
		Protocol: header.ProtoTCP, Src: src, Dst: dst})
	h := (*header.TCP)(l4)
	h.Encode(&f)
	copy(l4[header.TCPLen:], opts[:n])
	h.SetChecksum(^header.Checksum(l4, header.PseudoHeader(src, dst, header.ProtoTCP, uint32(len(l4)))))
	p := sc.pool.Alloc(pbuf.LayerRaw, len(b), pbuf.KindPool)
	require.NoError(sc.t, p.Take(b))
	sc.s.Input(sc.nif, sc.now, []*pbuf.Pbuf{p})
}

// expect compares the next segment out.
func (sc *script) expect(args []string) {
	sc.t.Helper()
	if len(args) == 0 {
		if len(sc.out) != 0 {
			sc.fail("%d segments more, the first %s", len(sc.out), sc.format(&sc.out[0]))
		}
		return
	}
	flags, seq, kv := sc.fields(args)
	if v, many := kv["times"]; many {
		one := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return strings.HasPrefix(a, "times=") })
		for i := range number(v, 0) {
			one[1] = strconv.Itoa(seq + i*number(kv["len"], 0))
			sc.expect(one)
		}
		return
	}
	if len(sc.out) == 0 {
		sc.fail("nothing was sent")
	}
	o := sc.out[0]
	sc.out = sc.out[1:]
	mask := ^header.TCPFlags(0)
	if flags&header.TCPPsh == 0 {
		mask &^= header.TCPPsh
	}
	rel := func(s header.Seq) int { return int(int32(s.Sub(sc.iss[o.port]))) }
	ok := o.flags&mask == flags && (rel(o.seq) == seq || flags&header.TCPRst != 0 && int(o.seq) == seq)
	for k, v := range kv {
		switch n := number(v, -1); k {
		case "len":
			ok = ok && o.n == n
		case "ack":
			ok = ok && int(int32(o.ack.Sub(header.Seq(uint32(peerISN))))) == n
		case "win":
			ok = ok && o.win == n
		case "mss":
			ok = ok && int(o.opts.MSS) == n
		case "ws":
			ok = ok && int(o.opts.WScale) == n
		case "ts":
			ok = ok && o.opts.HasTS && (v == "" || int(o.opts.TSEcr) == n)
		case "uto":
			ok = ok && o.opts.HasUserTimeout && int(o.opts.UserTimeout) == n
		case "fo":
			ok = ok && o.opts.HasFastOpen && bytes.Equal(o.cookie(), sc.cookie(v))
		case "nofo":
			ok = ok && !o.opts.HasFastOpen
		case "nouto":
			ok = ok && !o.opts.HasUserTimeout
		case "sackok":
			ok = ok && o.opts.SACKPermitted
		case "sack":
			want := sackBlocks(v, header.Seq(uint32(peerISN)))
			ok = ok && slices.Equal(o.opts.SACK[:o.opts.NSACK], want)
		case "nots":
			ok = ok && !o.opts.HasTS
		case "port":
			ok = ok && int(o.port) == n
		case "tos":
			ok = ok && o.tos == n
		default:
			sc.fail("unknown field %s", k)
		}
	}
	if _, named := kv["len"]; !named && o.n != 0 {
		ok = false
	}
	if !ok {
		sc.fail("sent %s", sc.format(&o))
	}
}

func (sc *script) format(o *outSeg) string {
	peer := header.Seq(uint32(peerISN))
	sack := ""
	for _, b := range o.opts.SACK[:o.opts.NSACK] {
		sack += fmt.Sprintf(" %d-%d", int32(b.Left.Sub(peer)), int32(b.Right.Sub(peer)))
	}
	return fmt.Sprintf("%v %d tos=%d len=%d ack=%d win=%d mss=%d ws=%d ts=%v:%d port=%d sack=%s", o.flags, int32(o.seq.Sub(sc.iss[o.port])), o.tos, o.n,
		int32(o.ack.Sub(peer)), o.win, o.opts.MSS, o.opts.WScale, o.opts.HasTS, o.opts.TSEcr, o.port, sack)
}

// sackBlocks parses LEFT-RIGHT,…; "" is no block.
func sackBlocks(s string, isn header.Seq) (list []header.SACKBlock) {
	for _, b := range strings.Split(s, ",") {
		if left, right, ok := strings.Cut(b, "-"); ok {
			list = append(list, header.SACKBlock{Left: isn.Add(uint32(number(left, 0))), Right: isn.Add(uint32(number(right, 0)))})
		}
	}
	return list
}

// ackTS is a pure ACK that echoes a timestamp of the stack's, with SACK blocks.
func (sc *script) ackTS(ack int, ecr uint32, sack string) {
	sc.t.Helper()
	args := []string{"A", "1", fmt.Sprintf("ack=%d", ack), fmt.Sprintf("ts=%d:%d", 2000+ack, ecr)}
	if sack != "" {
		args = append(args, "sack="+sack)
	}
	sc.in(args)
	sc.s.Flush(sc.now)
	checkInvariants(sc.t, sc.s)
}
