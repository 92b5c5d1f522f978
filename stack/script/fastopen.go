package script

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"github.com/shardstack/shardstack/stack"
)

// TCP Fast Open (RFC 7413), as Linux's sockets have it.

// Bits of net.ipv4.tcp_fastopen.
const (
	tfoClient         = 0x1
	tfoServer         = 0x2
	tfoClientNoCookie = 0x4
	tfoServerNoCookie = 0x200
	tfoAnyListener    = 0x400 // without TCP_FASTOPEN
)

// Numbers of the socket options.
const (
	tcpFastOpen         = 23
	tcpFastOpenConnect  = 30
	tcpFastOpenKey      = 33
	tcpFastOpenNoCookie = 34
)

// cookieWord stands for the cookie that is good for the script's two ends.
const cookieWord = "TFO_COOKIE"

// liveSysctls are those that count at once, with sockets open as well.
var liveSysctls = map[string]func(r *runner, v string) error{
	"tcp_fastopen": func(r *runner, v string) error {
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			return err
		}
		r.tfo = n
		for _, s := range r.fds {
			if s.tcp != nil && (s.listen || !s.opened) {
				s.applyFastOpen()
			}
		}
		return nil
	},
	"tcp_fastopen_key": func(r *runner, v string) error {
		var keys []stack.FastOpenKey
		for _, s := range strings.Split(v, ",") {
			k, err := parseFastOpenKey(s)
			if err != nil {
				return err
			}
			keys = append(keys, k)
		}
		r.cfg.stack.TCP.FastOpen.Keys = keys
		if r.w != nil {
			return r.w.stack.SetFastOpenKeys(keys...)
		}
		return nil
	},
}

// parseFastOpenKey reads a key as the sysctl has it: four numbers of eight
// hexadecimal digits, whose bytes are little-endian.
func parseFastOpenKey(s string) (k stack.FastOpenKey, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(k) {
		return k, syntax(0, "key %q is not 00000000-00000000-00000000-00000000", s)
	}
	for i := range k {
		k[i] = b[i&^3+3-i&3]
	}
	return k, nil
}

// applyFastOpen sets the PCB up from the sysctl and the socket's options.
func (s *sock) applyFastOpen() {
	tfo, opt := s.r.tfo, func(n int64) int64 { return s.opts[optKey{solTCP, n}] }
	var o stack.FastOpen
	if s.listen {
		if tfo&tfoServer != 0 {
			if o.Pending = int(opt(tcpFastOpen)); o.Pending == 0 && tfo&tfoAnyListener != 0 {
				o.Pending = -1
			}
		}
		o.NoCookie = tfo&tfoServerNoCookie != 0
	} else {
		o.Connect = tfo&tfoClient != 0
		o.NoCookie = tfo&tfoClientNoCookie != 0
	}
	o.NoCookie = o.NoCookie || opt(tcpFastOpenNoCookie) != 0
	o.Keys = s.tfoKeys
	_ = s.tcp.SetFastOpen(o) // the values were looked at when they were set
}

func setFastOpen(s *sock, v int64) errno {
	if v < 0 || v > 1<<16 || s.tcp == nil || s.opened {
		return errINVAL
	}
	s.applyFastOpen()
	return errNone
}

func setFastOpenConnect(s *sock, v int64) errno {
	switch {
	case v < 0 || v > 1:
		return errINVAL
	case s.r.tfo&tfoClient == 0:
		return errOPNOTSUPP
	case s.tcp == nil || s.opened || s.listen:
		return errINVAL
	}
	return errNone
}

func setFastOpenNoCookie(s *sock, v int64) errno {
	if v < 0 || v > 1 || s.tcp == nil || s.opened {
		return errINVAL
	}
	s.applyFastOpen()
	return errNone
}

// setFastOpenKey is TCP_FASTOPEN_KEY: one key of 16 bytes, or two.
func setFastOpenKey(s *sock, _ int64) errno {
	b := s.optText
	if s.tcp == nil || len(b) != 16 && len(b) != 32 {
		return errINVAL
	}
	s.tfoKeys = nil
	for ; len(b) > 0; b = b[16:] {
		s.tfoKeys = append(s.tfoKeys, stack.FastOpenKey([]byte(b[:16])))
	}
	s.applyFastOpen()
	return errNone
}

// connectLater is connect() with TCP_FASTOPEN_CONNECT: if there is a cookie, nothing
// is sent until the first write. done false: it is to be an ordinary connect().
func (s *sock) connectLater(to netip.AddrPort) (got outcome, done bool) {
	if s.opts[optKey{solTCP, tcpFastOpenConnect}] == 0 || s.r.tfo&tfoClient == 0 {
		return got, false
	}
	s.applyFastOpen()
	if s.tcp.FastOpenRoom(to.Addr()) == 0 {
		return got, false
	}
	s.later = to
	return ok(0), true
}

// fastOpens reports whether a write of a TCP socket opens the connection.
func (s *sock) fastOpens(flags int64) bool {
	return s.udp == nil && !s.connected && (flags&msgFastOpen != 0 || s.later.IsValid())
}

// fastOpenAttempt is sendto(…, MSG_FASTOPEN, …), or the first write after a connect()
// that was put off: connect and write in one.
func fastOpenAttempt(s *sock, to netip.AddrPort, data payload, flags int64) attempt {
	wait := !s.nonblock() && flags&msgDontWait == 0
	if s.later.IsValid() {
		to = s.later
	}
	var b []byte
	sent, begun := 0, false
	return func() outcome {
		if !begun {
			got, done := s.canFastOpen()
			if done {
				return got
			}
			b = data.bytes(0)
			var e errno
			if sent, e = s.fastOpen(to, b); e != errNone {
				return fail(e)
			}
			begun = true
			switch {
			case wait:
			case sent != 0:
				return ok(int64(sent))
			default:
				return fail(errINPROGRESS)
			}
		}
		switch {
		case s.err != errNone:
			return fail(s.takeErr())
		case s.tcp == nil:
			return fail(errPIPE)
		case !s.connected:
			return outcome{}
		}
		for sent < len(b) {
			ret, e, done := s.write(b[sent:], flags)
			if !done || e != errNone {
				return block(s, flags, ret, e, done)
			}
			sent += int(ret)
		}
		return ok(int64(sent))
	}
}

// canFastOpen says why a socket can't open a connection with data; done false: it
// can.
func (s *sock) canFastOpen() (got outcome, done bool) {
	switch {
	case s.r.tfo&tfoClient == 0:
		return fail(errOPNOTSUPP), true
	case s.err != errNone:
		return fail(s.takeErr()), true
	case s.opened && s.tcp == nil:
		return fail(errPIPE), true
	case s.opened:
		return fail(errALREADY), true
	case s.tcp == nil || s.listen:
		return fail(errPIPE), true
	}
	return got, false
}

// fastOpen begins to open a connection, with as much of b as goes with the SYN.
func (s *sock) fastOpen(to netip.AddrPort, b []byte) (int, errno) {
	s.applyFastOpen()
	b = b[:min(len(b), s.tcp.FastOpenRoom(to.Addr()))]
	s.later = netip.AddrPort{}
	s.stream.b = append(s.stream.b, b...)
	n := 0
	e := s.open(to, func(done stack.ConnectedFunc) (err error) {
		n, err = s.tcp.ConnectWrite(to, b, done)
		return err
	})
	s.stream.b = s.stream.b[:n]
	return n, e
}

// spellCookie puts the good cookie in the place of the word for it.
func (r *runner) spellCookie(k *Packet, c *conn) error {
	for i := range k.Opts {
		o := &k.Opts[i]
		if !o.good {
			continue
		}
		live, err := r.w.stack.FastOpenCookie(c.remote.Addr(), r.cfg.local)
		if err != nil {
			return mismatch(k.Line, "no cookie: %v", err)
		}
		o.Data = live[:]
	}
	return nil
}
