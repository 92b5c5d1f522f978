package script

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzScript reads scripts, and runs those that are short: whatever they say, the
// result is an error with a line, and the stack loses no buffer.
func FuzzScript(f *testing.F) {
	files, err := filepath.Glob("../testdata/*/*.pkt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for i := 0; i < len(files); i += 1 + len(files)/20 {
		src, err := os.ReadFile(files[i])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	for _, s := range []string{
		"0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n+0 connect(3, ..., ...) = 0\n+0 send(3, ..., 9, 0) = 9\n+0 > udp (9)\n+0 < icmp unreachable port_unreachable [udp (9)]",
		"--ip_version=ipv6\n`sysctl -q net.ipv4.tcp_sack=0`\n0...1 accept(3, {sa_family=AF_INET}, [16]) = -1 EBADF (x)",
		"0 %{ assert 1 <= tcpi_snd_cwnd <= 10 and not (3 in [1, 2]), 'x' }%\n+0 `echo 5 > /proc/sys/net/ipv4/tcp_retries2`",
		"0 > S 0:0(0) <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7,FO 0011>\n* > . 1:1(0) ack 1 <...>\n1~2 > F. 1:1(0) ack 1",
		"0 poll([{fd=3, events=POLLIN|POLLOUT, revents=POLLNVAL}], 1, 0) = 1\n0 sendmsg(3, {msg_name(...)=..., msg_iov(1)=[{..., 1}], msg_flags=0}, 0) = 1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := Parse("fuzz", []byte(src))
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.File == "" || e.Line < 0 {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		if !short(s) {
			return
		}
		for _, strict := range []bool{false, true} {
			if _, err := s.Run(Options{Strict: strict}); err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("not an *Error: %v", err)
				}
				_ = e.Diff()
			}
		}
	})
}

// short tells whether a script takes little time and memory.
func short(s *Script) bool {
	if len(s.Events) > 60 {
		return false
	}
	for i := range s.Events {
		e := &s.Events[i]
		if e.When.kind == timeAny || max(e.When.start, e.When.end) > 5e9 {
			return false
		}
		if c := e.Call; c != nil {
			if c.End > 5e9 {
				return false
			}
			for _, a := range c.Args {
				if big(a) {
					return false
				}
			}
		}
	}
	return true
}

func big(e *Expr) bool {
	if e.Int > 1<<20 {
		return true
	}
	for _, a := range e.Args {
		if big(a) {
			return true
		}
	}
	return false
}
