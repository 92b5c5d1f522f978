package script

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// open is a connection that is accepted as 4, over a round trip of 10 ms.
const open = `
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
   +0 bind(3, ..., ...) = 0
   +0 listen(3, 1) = 0
   +0 < S 0:0(0) win 65535 <mss 1000>
   +0 > S. 0:0(0) ack 1 <mss 1460>
 +.01 < . 1:1(0) ack 1 win 65535
   +0 accept(3, ..., ...) = 4
`

// TestScriptRunnerTells has one line for each thing that a run can find wrong,
// and what it says then.
func TestScriptRunnerTells(t *testing.T) {
	for _, c := range []struct{ name, text, kind, want string }{
		{"another length", "+0 write(4, ..., 10) = 10\n+0 > P. 1:21(20) ack 1", "differs", "length"},
		{"too early", "+0 write(4, ..., 10) = 10\n+1 > P. 1:11(10) ack 1", "differs", "time (tolerance"},
		{"too late", "+0 write(4, ..., 10) = 10\n+0 > P. 1:11(10) ack 1\n+.1 > P. 1:11(10) ack 1", "differs", "time (tolerance"},
		{"nothing sent", "+0 > . 1:1(0) ack 1", "differs", "no packet until 2.01"},
		{"a result", "+0 read(4, ..., 10) = 5", "differs", "read blocks"},
		{"an error", "+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n+0 read(4, ..., 10) = -1 EPIPE (x)", "differs", "read returned something else"},
		{"blocks too short", "+0...0.5 read(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 65535\n+1 close(4) = 0", "differs", "read returned at 0.110000 s"},
		{"blocks too long", "+0...0.5 read(4, ..., 10) = 10\n+1 close(4) = 0", "differs", "read still blocks"},
		{"does not block", "+0...0.5 write(4, ..., 10) = 10", "differs", "returned 10 at once"},
		{"in the past", "+1 close(4) = 0\n0.5 close(3) = 0", "differs", "it is 1.010000 s already"},
		{"an option's value", "+0 getsockopt(4, SOL_TCP, TCP_MAXSEG, [999], [4]) = 0", "differs", "TCP_MAXSEG is 1000, expected 999"},
		{"an ioctl's value", "+0 ioctl(4, SIOCINQ, [5]) = 0", "differs", "the value is 0, expected 5"},
		{"an event", "+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN}], 1, 0) = 1", "differs", "revents of 4 is 0x4"},
		{"an echo", "+0 < . 1:1(0) ack 1 win 5 <nop,nop,TS val 1 ecr 77>", "differs", "echoes no timestamp"},
		{"left over", "+0 write(4, ..., 10) = 10", "differs", "the script ends, but this was sent, too"},
		{"a bad descriptor", "+0 write(9, ..., 10) = 10", "differs", "-1 EBADF"},
		{"another protocol", "+0 > udp (10)", "differs", "of another protocol"},
		{"no such ports", "+0 > 1 > 2 . 1:1(0) ack 1", "differs", "no connection has the ports"},
		{"a call", "+0 epoll_create(1) = 5", "unsupported", "the call epoll_create"},
		{"an option", "+0 setsockopt(4, SOL_TCP, TCP_REPAIR, [1], 4) = 0", "unsupported", "TCP_REPAIR"},
		{"a flag", "+0 send(4, ..., 10, MSG_ZEROCOPY) = 10", "unsupported", "flags 0x4000000"},
		{"a name", "+0 %{ assert tcpi_nonsense == 0 }%", "unsupported", "tcpi_nonsense"},
		{"arguments", "+0 close(4, 5) = 0", "syntax", "it takes 1"},
		{"wrong ICMP", "+0 < icmp packet_too_big mtu 1280 [1:1(0)]", "unsupported", "not of this IP version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := runText(t, open+c.text, Options{Strict: true})
			kind := map[string]error{"differs": ErrMismatch, "unsupported": ErrUnsupported, "syntax": ErrSyntax}[c.kind]
			require.ErrorIs(t, err, kind)
			require.Contains(t, err.(*Error).Diff(), c.want)
		})
	}
}

// TestScriptRunnerSettingsThatContradict are told, whatever the script does then.
func TestScriptRunnerSettingsThatContradict(t *testing.T) {
	_, err := runText(t, "`sysctl -q net.ipv4.tcp_base_mss=10`\n"+open, Options{})
	require.ErrorIs(t, err, ErrUnsupported)
	require.Contains(t, err.(*Error).Diff(), "MTUProbeFloor")
}

// TestScriptRunnerCalls runs calls that block, wait and come back.
func TestScriptRunnerCalls(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"blocking write", "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [2304], 4) = 0\n" +
			"+0...0.02 write(4, ..., 9000) = 9000\n+0 > P. 1:4609(4608) ack 1\n" +
			"+.02 < . 1:1(0) ack 4609 win 65535\n+0 > P. 4609:9001(4392) ack 1"},
		{"poll that waits", "+0...0.1 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 1000) = 1\n" +
			"+.1 < P. 1:11(10) ack 1 win 65535\n+.04 > . 1:1(0) ack 11"},
		{"poll that gives up", "+0...0.05 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0\n+.2 close(4) = 0\n+0 > F. 1:1(0) ack 1"},
		{"cork", "+0 setsockopt(4, SOL_TCP, TCP_CORK, [1], 4) = 0\n+0 write(4, ..., 1500) = 1500\n+0 > . 1:1001(1000) ack 1\n" +
			"+.01 setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0\n+.01 < . 1:1(0) ack 1001 win 65535\n+0 > P. 1001:1501(500) ack 1"},
		{"more", "+0 send(4, ..., 100, MSG_MORE) = 100\n+.1 send(4, ..., 100, 0) = 100\n+0 > P. 1:201(200) ack 1"},
		{"vectors", "+0 writev(4, [{..., 10}, {\"abc\", 3}], 2) = 13\n+0 > P. 1:14(13) ack 1\n" +
			"+0 sendmsg(4, {msg_name(...)=..., msg_iov(1)=[{\"hello\", 5}], msg_flags=0}, 0) = 5\n+.01 < . 1:1(0) ack 14 win 65535\n+0 > P. 14:19(5) ack 1"},
		{"inq", "+0 setsockopt(4, SOL_TCP, TCP_INQ, [1], 4) = 0\n+0 < P. 1:101(100) ack 1 win 65535\n+0 recvmsg(4, {msg_name(...)=..., " +
			"msg_iov(1)=[{..., 30}], msg_flags=0, msg_control=[{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=70}]}, 0) = 30\n+.04 > . 1:1(0) ack 101"},
		{"peek", "+0 < P. 1:101(100) ack 1 win 65535\n+0 recv(4, ..., 50, MSG_PEEK) = 50\n+0 recv(4, ..., 500, MSG_DONTWAIT) = 100\n" +
			"+0 recv(4, ..., 500, MSG_DONTWAIT) = -1 EWOULDBLOCK (x)\n+.04 > . 1:1(0) ack 101"},
		{"outq", "+0 write(4, ..., 300) = 300\n+0 > P. 1:301(300) ack 1\n+0 ioctl(4, SIOCOUTQ, [300]) = 0\n+0 ioctl(4, SIOCOUTQNSD, [0]) = 0\n" +
			"+.01 < . 1:1(0) ack 301 win 65535\n+0 ioctl(4, SIOCOUTQ, [0]) = 0"},
		{"several connections", "+0 listen(3, 5) = 0\n+0 < 1001 > 8080 S 0:0(0) win 65535 <mss 1000>\n+0 > 8080 > 1001 S. 0:0(0) ack 1 <mss 1460>\n" +
			"+0 < 1002 > 8080 S 500:500(0) win 65535 <mss 1000>\n+0 > 8080 > 1002 S. 0:0(0) ack 501 <mss 1460>\n" +
			"+.1 < 1001 > 8080 R 1:1(0) win 0\n+0 < 1002 > 8080 . 1:1(0) ack 1 win 65535\n+0 accept(3, ..., ...) = 5\n" +
			"+0 write(5, ..., 10) = 10\n+0 > 8080 > 1002 P. 1:11(10) ack 1"},
		{"defaults", "+0 `../common/defaults.sh`\n+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := runText(t, open+c.text, Options{Strict: true})
			report(t, err)
		})
	}
}

// TestScriptSettings sets sysctls in the ways that scripts do.
func TestScriptSettings(t *testing.T) {
	for _, cmd := range []string{
		"sysctl -q net.ipv4.tcp_timestamps=0", "sysctl -w net.ipv4.tcp_timestamps=0 >/dev/null",
		"echo 0 > /proc/sys/net/ipv4/tcp_timestamps", "echo 0 >/proc/sys/net/ipv4/tcp_timestamps",
		"../common/set_sysctls.py \\\n  /proc/sys/net/ipv4/tcp_timestamps=0", "sysctl -q net.ipv4.tcp_rmem=\"4096 5000 6000\"; sysctl net/ipv4/tcp_timestamps=0",
	} {
		s, err := Parse("x", []byte("`"+cmd+"`\n0 close(9) = -1 EBADF (x)"))
		require.NoError(t, err)
		r := &runner{s: s, vars: map[string]value{}}
		require.NoError(t, r.configure())
		require.Empty(t, r.res.Warnings, cmd)
		require.True(t, r.cfg.stack.TCP.NoTimestamps, cmd)
	}
	for _, c := range []struct{ cmd, want string }{
		{"sysctl -q net.ipv4.tcp_nonsense=1", "tcp_nonsense has no equal here"},
		{"tc qdisc add dev tun0 root pfifo > /dev/null 2>&1", "has no meaning here"},
		{"sysctl net.ipv4.tcp_sack", "is read, not set"},
	} {
		res, err := runText(t, "`"+c.cmd+"`\n0 close(9) = -1 EBADF (x)", Options{})
		require.NoError(t, err)
		require.Len(t, res.Warnings, 1)
		require.Contains(t, res.Warnings[0], c.want)
	}
	_, err := runText(t, "`sysctl -q net.ipv4.tcp_sack=x`\n0 close(9) = -1 EBADF (x)", Options{})
	require.ErrorIs(t, err, ErrSyntax)
	// A setting between two connections takes effect; one during a connection can't.
	res, err := runText(t, "0 < S 0:0(0) win 5\n+0 > R. 0:0(0) ack 1\n+0 `sysctl -q net.ipv4.ip_default_ttl=9`\n+0 < S 0:0(0) win 5\n+0 > (ttl 9) R. 0:0(0) ack 1", Options{})
	report(t, err)
	require.Empty(t, res.Warnings)
	res, err = runText(t, open+"+0 `sysctl -q net.ipv4.ip_default_ttl=9`", Options{})
	require.NoError(t, err)
	require.Contains(t, res.Warnings[0], "the stack is in use")
}
