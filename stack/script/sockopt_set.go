package script

import (
	"time"

	"github.com/shardstack/shardstack/stack"
)

func setNoDelay(s *sock, v int64) errno {
	if s.tcp != nil {
		s.tcp.SetNoDelay(v != 0)
	}
	if v != 0 {
		s.uncork()
	}
	return errNone
}

func setCork(s *sock, v int64) errno {
	s.opts[optKey{solTCP, tcpCork}] = v
	if v == 0 {
		s.uncork()
	}
	return errNone
}

// setKeepAlive sets keepalive up from all its options, of which one has changed.
func setKeepAlive(s *sock, v int64) errno {
	if v < 0 || v > 32767 {
		return errINVAL
	}
	if s.tcp == nil || s.listen {
		return errNone
	}
	if s.opts[optKey{solSocket, soKeep}] == 0 {
		s.tcp.SetKeepAlive(nil)
		return errNone
	}
	sec := func(opt int64) time.Duration { return time.Duration(s.opts[optKey{solTCP, opt}]) * time.Second }
	s.tcp.SetKeepAlive(&stack.KeepAlive{Idle: sec(tcpKeepIdle), Interval: sec(tcpKeepIntvl),
		Count: int(s.opts[optKey{solTCP, tcpKeepCnt}])})
	return errNone
}

// setLinger is SO_LINGER, in seconds; -1 is off.
func setLinger(s *sock, v int64) errno {
	if s.tcp != nil {
		s.tcp.SetLinger(time.Duration(max(v, -1)) * time.Second)
	}
	return errNone
}

// setSndBuf bounds what the socket takes, twice the value as in Linux. The stack's
// own buffer does not shrink while the connection is open.
func setSndBuf(s *sock, v int64) errno {
	s.sndLimit = int(min(max(2*v, 4608), maxBytes))
	if s.tcp != nil {
		_ = s.tcp.SetSendBuf(s.sndLimit)
	}
	return errNone
}

func setTOS(s *sock, v int64) errno {
	switch {
	case v < 0 || v > 255:
		return errINVAL
	case s.tcp != nil:
		s.tcp.SetTOS(uint8(v))
	case s.udp != nil:
		s.udp.SetTOS(uint8(v))
	}
	return errNone
}

func setTTL(s *sock, v int64) errno {
	switch {
	case v < 1 || v > 255:
		return errINVAL
	case s.tcp != nil:
		s.tcp.SetTTL(uint8(v))
	case s.udp != nil:
		s.udp.SetTTL(uint8(v))
	}
	return errNone
}

func setBroadcast(s *sock, v int64) errno {
	if s.udp != nil {
		s.udp.SetBroadcast(v != 0)
	}
	return errNone
}

// getMaxSeg is TCP_MAXSEG: the payload of a full segment.
func getMaxSeg(s *sock) int64 {
	if v := s.opts[optKey{solTCP, tcpMaxSeg}]; v != 0 && !s.connected {
		return v
	}
	if s.tcp == nil {
		return 536
	}
	return int64(s.tcp.MSS())
}

// getDoubled is SO_SNDBUF and SO_RCVBUF: Linux says twice what was set.
func getDoubled(opt int64) func(*sock) int64 {
	return func(s *sock) int64 { return 2 * s.opts[optKey{solSocket, opt}] }
}

func setRcvBuf(s *sock, v int64) errno {
	if s.tcp == nil {
		return errNone
	}
	return errnoOf(s.tcp.SetRecvBuf(int(min(max(2*v, 2304), 1<<30))))
}

// setMaxSeg is TCP_MAXSEG, before the connection is opened.
func setMaxSeg(s *sock, v int64) errno {
	if s.tcp == nil {
		return errINVAL
	}
	return errnoOr(s.tcp.SetMSS(int(min(max(v, -1), 1<<20))), errINVAL)
}

// errnoOr is e for an error, whichever it is.
func errnoOr(err error, e errno) errno {
	if err == nil {
		return errNone
	}
	return e
}

// setSynCount is TCP_SYNCNT: how often SYN is sent again.
func setSynCount(s *sock, v int64) errno {
	if s.tcp == nil || v < 1 || v > 127 {
		return errINVAL
	}
	return errnoOr(s.tcp.SetRetries(0, int(v)), errINVAL)
}

func setQuickAck(s *sock, v int64) errno {
	if s.tcp != nil {
		s.tcp.SetQuickAck(v != 0)
	}
	return errNone
}

func setCongestion(s *sock, _ int64) errno {
	if s.tcp == nil {
		return errINVAL
	}
	return errnoOr(s.tcp.SetCongestionControl(s.optText), errNOENT)
}

// setUserTimeout is TCP_USER_TIMEOUT, in milliseconds.
func setUserTimeout(s *sock, v int64) errno {
	if v < 0 {
		return errINVAL
	}
	if s.tcp != nil {
		s.tcp.SetUserTimeout(time.Duration(v) * time.Millisecond)
	}
	return errNone
}

// setPacing is SO_MAX_PACING_RATE, in bytes a second; -1 and 2^32-1 are none.
func setPacing(s *sock, v int64) errno {
	if v < 0 || v == 1<<32-1 {
		v = 0
	}
	if s.tcp != nil {
		s.tcp.SetMaxPacingRate(uint64(v))
	}
	return errNone
}
