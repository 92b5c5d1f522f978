package script

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestScriptTokens cuts what a scanner could cut wrongly.
func TestScriptTokens(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"+0...0.010 connect", "+|0|...|0.010|connect"},
		{"0.1...0.2 x", "0.1|...|0.2|x"},
		{"+.1~+.2", "+|.1|~|+|.2"},
		{"1:1001(1000)", "1|:|1001|(|1000|)"},
		{"S. 0:0(0)", "S|.|0|:|0|(|0|)"},
		{"P.5 1", "P|.5|1"},
		{"-1 EAGAIN (Resource x)", "-1|EAGAIN|(|Resource|x|)"},
		{"- 1:1(0)", "-|1|:|1|(|0|)"},
		{"0x2 12ab 0xzz", "0x2|12ab|0xzz"},
		{`"a\n\"b" c`, "a\n\"b|c"},
		{"`a \\` b\nc` d", "a ` b\nc|d"},
		{"1 // 2\n/* 3\n4 */ 5", "1|5"},
		{"%{ a == {1} }% b", "a == {1}|b"},
		{"--x=\"a b\" --y c", `x="a b"|y|c`},
		{"192.0.2.1 1.2.3", "192.0.2.1|1.2|.3"},
	} {
		toks, err := scan(c.in)
		require.NoError(t, err, c.in)
		var got []string
		for _, k := range toks[:len(toks)-1] {
			got = append(got, k.text)
		}
		require.Equal(t, c.want, strings.Join(got, "|"), c.in)
	}
}

// TestScriptParsesPackets reads each kind of packet and writes it again.
func TestScriptParsesPackets(t *testing.T) {
	for _, line := range []string{
		"< S 0:0(0) win 32792 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>",
		"> S. 0:0(0) ack 1 <...>",
		"> . 1:1(0) ack 1 win 0 urg 5 <nop,nop,sack 1001:2001 3001:4001>",
		"> FPUEWA. 1:101(100) ack 4294967295",
		"< - 1:1(0) win 5",
		"> .5 1:1(0) ack 1",
		"> [ect0] . 1:1(0) ack 1",
		"> [ect01] . 1:1(0) ack 1",
		"< [ce] . 1:1(0) ack 1 win 5",
		"> [tos 0x28] . 1:1(0) ack 1",
		"< S 0:0(0) win 5 <FO,nop,nop,eol,eol>",
		"< S 0:0(0) win 5 <FO 0123456789abcdef>",
		"< S 0:0(0) win 5 <FOEXP 3021b9d889017eeb,uto 7>",
		"< R 5000 > 8080 1:1(0) win 0",
		"> udp (1472)",
		"< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]",
		"< icmp unreachable port_unreachable [udp (10)]",
		"< icmp time_exceeded ttl_exceeded [raw (40)]",
		"< icmp echo_request id 7",
	} {
		in := line
		if i := strings.Index(line, "R 5000"); i >= 0 { // ports stand in front of the flags
			in = "< 5000 > 8080 R 1:1(0) win 0"
		}
		s, err := Parse("x", []byte("0 "+in))
		require.NoError(t, err, in)
		want := in
		if i := strings.Index(in, "FPUEWA."); i >= 0 {
			want = strings.Replace(in, "FPUEWA.", "FPUEWA.", 1)
		}
		require.Equal(t, "0.000000 "+want, s.Events[0].Packet.format(0, false, false), in)
	}
}

// TestScriptParseErrors has a line and a reason for each kind of mistake.
func TestScriptParseErrors(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "no events"},
		{"1 close(3) = 0", "the first event must be at time 0"},
		{"0 close(3) = 0\n+-1 close(3) = 0", "2: time -1"},
		{"0 close(3) = 0\n+1e9 close(3) = 0", "2: unexpected \"1e9\""},
		{"0 < S 1:2(0)", "contradict each other"},
		{"0 < S 0:0(0) win 70000", "outside 0 … 65535"},
		{"0 < X 0:0(0)", "TCP flags \"X\""},
		{"0 < S 0:0(0) <...>", "for packets that are expected"},
		{"0 < [ect01] S 0:0(0)", "ect01 is for"},
		{"0 > S 0:0(0) <mss 1460", "the script ends"},
		{"0 > S 0:0(0) <foo>", "want a TCP option"},
		{"0 > S 0:0(0) <FO 123>", "even number of hexadecimal digits"},
		{"0 > S 0:0(0) <sack 1:2 3:4 5:6 7:8,TS val 1 ecr 1>", "do not fit into 40"},
		{"0 close(3) = 0\n* close(3) = 0", "* and ranges of time"},
		{"0 close(3) = 0\n0~1 close(3) = 0", "* and ranges of time"},
		{"0 close(3) = 0\n2~1 > . 1:1(0) ack 1", "ends before it starts"},
		{"0 close(3", "the script ends"},
		{"0 close(3) 0", "want ="},
		{"0 close(((((((((((((((((((((((((((((((((((((((((((3) = 0", "want an argument"},
		{"0 f(" + strings.Repeat("[", 100) + "1" + strings.Repeat("]", 100) + ") = 0", "nested too deep"},
		{"0 < icmp foo", "unknown ICMP type"},
		{"0 < icmp unreachable foo", "unknown code"},
		{"0 /* x", "comment without end"},
		{"0 `x", "without its end"},
		{"0 %{ assert 1", "%{ without }%"},
		{"0 %{ assert }%", "want a value"},
		{"0 %{ assert (1 }%", "want )"},
		{"0 %{ for i in x: pass }%", "for in code"},
		{"0 %{ " + strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100) + " }%", "nested too deep"},
		{"--define=X", "NAME=VALUE"},
		{"0 99999999999999999999", "too large"},
		{"0 close(3) = 0\n`x`\n0 close(3) = 0", "nothing may follow"},
		{"0 < ipv4 1.2.3.4 > 5.6.7.8: S 0:0(0)", "packets in packets"},
		{"0 < S 0:0(0) <md5 00>", "MD5"},
	} {
		_, err := Parse("f.pkt", []byte(c.in))
		require.ErrorContains(t, err, c.want, c.in)
		require.ErrorContains(t, err, "f.pkt:")
	}
}

// TestScriptDefines puts what --define says in the place of words.
func TestScriptDefines(t *testing.T) {
	s, err := Parse("x", []byte("--define=COOKIE=00ff\n--define=N=5\n0 < S 0:0(0) win N <FO COOKIE, mss M>"), "M=88")
	require.NoError(t, err)
	k := s.Events[0].Packet
	require.Equal(t, 5, k.Win)
	require.Equal(t, []byte{0, 0xff}, k.Opts[0].Data)
	require.EqualValues(t, 88, k.Opts[1].Num)
}

// TestScriptParsesCalls reads arguments of every shape.
func TestScriptParsesCalls(t *testing.T) {
	s, err := Parse("x", []byte(`
0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0...0.25 recvmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0, msg_control=[{cmsg_level=SOL_TCP,
   cmsg_type=TCP_CM_INQ, cmsg_data=9000}]}, 0) = -1 EAGAIN (Resource temporarily unavailable)
+0 bind(3, {sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("198.18.0.1")}, ...) = 0
+0 write(3, "ab" "cd"..., 4) = 4`))
	require.NoError(t, err)
	v, err := s.Events[0].Call.Args[1].num()
	require.NoError(t, err)
	require.EqualValues(t, sockStream|oNonblock, v)
	c := s.Events[1].Call
	require.True(t, c.Blocks)
	require.EqualValues(t, 250*time.Millisecond, c.End)
	require.Equal(t, "EAGAIN", c.Errno)
	require.EqualValues(t, -1, c.Result.Int)
	n, _, err := iovec(c.Args[1].member("msg_iov"))
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.Equal(t, "abcd", s.Events[3].Call.Args[1].Str)
	require.Equal(t, 5, s.Events[2].Line)
}
