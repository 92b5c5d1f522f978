package script

import (
	"reflect"
	"strings"
	"time"

	"github.com/shardstack/shardstack/stack"
)

// linuxState is the state as TCP_INFO numbers it.
var linuxState = map[stack.TCPState]int64{
	stack.StateEstablished: 1, stack.StateSynSent: 2, stack.StateSynRcvd: 3, stack.StateFinWait1: 4, stack.StateFinWait2: 5,
	stack.StateTimeWait: 6, stack.StateClosed: 7, stack.StateCloseWait: 8, stack.StateLastAck: 9, stack.StateListen: 10,
	stack.StateClosing: 11,
}

// segments turns bytes into segments, as Linux counts.
func segments(n uint32, mss int) int64 {
	return (int64(n) + int64(mss) - 1) / int64(max(mss, 1))
}

func usec(d time.Duration) int64 { return d.Microseconds() }

// infoFields are the names of TCP_INFO that assertions may use.
var infoFields = map[string]func(i *stack.TCPInfo) int64{
	"tcpi_state":    func(i *stack.TCPInfo) int64 { return linuxState[i.State] },
	"tcpi_snd_mss":  func(i *stack.TCPInfo) int64 { return int64(i.MSS) },
	"tcpi_snd_cwnd": func(i *stack.TCPInfo) int64 { return int64(i.Cwnd) / int64(max(i.MSS, 1)) },
	"tcpi_snd_ssthresh": func(i *stack.TCPInfo) int64 {
		if i.Ssthresh >= 1<<30 { // as long as none was set
			return infiniteSsthresh
		}
		return int64(i.Ssthresh) / int64(max(i.MSS, 1))
	},
	"tcpi_unacked":       func(i *stack.TCPInfo) int64 { return segments(i.Unacked, i.MSS) },
	"tcpi_notsent_bytes": func(i *stack.TCPInfo) int64 { return int64(i.Unsent) },
	"tcpi_rtt":           func(i *stack.TCPInfo) int64 { return usec(i.SRTT) },
	"tcpi_rttvar":        func(i *stack.TCPInfo) int64 { return usec(i.RTTVar) },
	"tcpi_min_rtt":       func(i *stack.TCPInfo) int64 { return usec(i.MinRTT) },
	"tcpi_rto":           func(i *stack.TCPInfo) int64 { return usec(i.RTO) },
	"tcpi_backoff":       func(i *stack.TCPInfo) int64 { return int64(i.Backoff) },
	"tcpi_snd_wnd":       func(i *stack.TCPInfo) int64 { return int64(i.SndWnd) },
	"tcpi_rcv_wnd":       func(i *stack.TCPInfo) int64 { return int64(i.RcvWnd) },
	"tcpi_snd_wscale":    func(i *stack.TCPInfo) int64 { return int64(max(i.WScaleSnd, 0)) },
	"tcpi_rcv_wscale":    func(i *stack.TCPInfo) int64 { return int64(max(i.WScaleRcv, 0)) },
	"tcpi_options":       infoOptions,

	"tcpi_fastopen_client_fail": func(i *stack.TCPInfo) int64 { return int64(i.FastOpenFail) },

	"tcpi_ca_state":        func(i *stack.TCPInfo) int64 { return int64(i.CAState) },
	"tcpi_retransmits":     func(i *stack.TCPInfo) int64 { return int64(i.Retransmits) },
	"tcpi_probes":          func(i *stack.TCPInfo) int64 { return int64(i.Probes) },
	"tcpi_ato":             func(i *stack.TCPInfo) int64 { return usec(i.ATO) },
	"tcpi_advmss":          func(i *stack.TCPInfo) int64 { return int64(i.AdvMSS) },
	"tcpi_pmtu":            func(i *stack.TCPInfo) int64 { return int64(i.PMTU) },
	"tcpi_sacked":          func(i *stack.TCPInfo) int64 { return segments(i.Sacked, i.MSS) },
	"tcpi_lost":            func(i *stack.TCPInfo) int64 { return segments(i.Lost, i.MSS) },
	"tcpi_retrans":         func(i *stack.TCPInfo) int64 { return segments(i.Retrans, i.MSS) },
	"tcpi_rcv_space":       func(i *stack.TCPInfo) int64 { return int64(i.RcvSpace) },
	"tcpi_rcv_ssthresh":    func(i *stack.TCPInfo) int64 { return int64(i.RcvSsthresh) },
	"tcpi_rcv_rtt":         func(i *stack.TCPInfo) int64 { return usec(i.RcvRTT) },
	"tcpi_pacing_rate":     func(i *stack.TCPInfo) int64 { return int64(i.PacingRate) },
	"tcpi_max_pacing_rate": func(i *stack.TCPInfo) int64 { return int64(i.MaxPacingRate) },
	"tcpi_bytes_acked":     func(i *stack.TCPInfo) int64 { return int64(i.BytesAcked) },
	"tcpi_bytes_received":  func(i *stack.TCPInfo) int64 { return int64(i.BytesReceived) },

	"tcpi_bytes_sent":           func(i *stack.TCPInfo) int64 { return int64(i.BytesSent) },
	"tcpi_bytes_retrans":        func(i *stack.TCPInfo) int64 { return int64(i.BytesRetrans) },
	"tcpi_total_retrans":        func(i *stack.TCPInfo) int64 { return int64(i.TotalRetrans) },
	"tcpi_reordering":           func(i *stack.TCPInfo) int64 { return int64(i.Reorder) },
	"tcpi_reord_seen":           func(i *stack.TCPInfo) int64 { return int64(i.ReordSeen) },
	"tcpi_dsack_dups":           func(i *stack.TCPInfo) int64 { return int64(i.DSACKDups) },
	"tcpi_rcv_ooopack":          func(i *stack.TCPInfo) int64 { return int64(i.OutOfOrderPackets) },
	"tcpi_total_rto":            func(i *stack.TCPInfo) int64 { return int64(i.TotalRTO) },
	"tcpi_total_rto_recoveries": func(i *stack.TCPInfo) int64 { return int64(i.TotalRTORecoveries) },
	"tcpi_total_rto_time":       func(i *stack.TCPInfo) int64 { return i.TotalRTOTime.Milliseconds() },
	"tcpi_last_data_sent":       func(i *stack.TCPInfo) int64 { return i.LastDataSentAgo.Milliseconds() },
	"tcpi_last_data_recv":       func(i *stack.TCPInfo) int64 { return i.LastDataRecvAgo.Milliseconds() },
	"tcpi_last_ack_recv":        func(i *stack.TCPInfo) int64 { return i.LastAckRecvAgo.Milliseconds() },
	"tcpi_segs_in":              func(i *stack.TCPInfo) int64 { return int64(i.SegsIn) },
	"tcpi_segs_out":             func(i *stack.TCPInfo) int64 { return int64(i.SegsOut) },
	"tcpi_data_segs_in":         func(i *stack.TCPInfo) int64 { return int64(i.DataSegsIn) },
	"tcpi_data_segs_out":        func(i *stack.TCPInfo) int64 { return int64(i.DataSegsOut) },
	"tcpi_delivered":            func(i *stack.TCPInfo) int64 { return int64(i.Delivered) },
	"tcpi_delivered_ce":         func(i *stack.TCPInfo) int64 { return int64(i.DeliveredCE) },
	"tcpi_rcv_mss":              func(i *stack.TCPInfo) int64 { return int64(i.RcvMSS) },
	"tcpi_delivery_rate":        func(i *stack.TCPInfo) int64 { return int64(i.DeliveryRate) },
	"tcpi_busy_time":            func(i *stack.TCPInfo) int64 { return usec(i.BusyTime) },
	"tcpi_rwnd_limited":         func(i *stack.TCPInfo) int64 { return usec(i.RwndLimited) },
	"tcpi_sndbuf_limited":       func(i *stack.TCPInfo) int64 { return usec(i.SndbufLimited) },
	"tcpi_delivery_rate_app_limited": func(i *stack.TCPInfo) int64 {
		if i.DeliveryRateAppLimited {
			return 1
		}
		return 0
	},
	// Linux does not remember either, or has no meaning for it any more; nobody
	// here hashes anew.
	"tcpi_last_ack_sent": func(*stack.TCPInfo) int64 { return 0 },
	"tcpi_fackets":       func(*stack.TCPInfo) int64 { return 0 },
	"tcpi_rehash":        func(*stack.TCPInfo) int64 { return 0 },
}

// metered are the fields for which connections need a meter (stack.TCPConfig.Meter).
var metered = []string{"segs_in", "segs_out", "tcpi_delivered", "rcv_mss", "delivery_rate", "busy_time", "_limited", "last_data", "last_ack"}

// wantsMeter reports whether the script asks for one of them.
func (s *Script) wantsMeter() bool {
	for i := range s.Events {
		if c := s.Events[i].Code; c != nil {
			for _, name := range metered {
				if strings.Contains(c.Text, name) {
					return true
				}
			}
		}
	}
	return false
}

func infoOptions(i *stack.TCPInfo) (v int64) {
	if i.Timestamps {
		v |= symbols["TCPI_OPT_TIMESTAMPS"]
	}
	if i.WScaleSnd >= 0 {
		v |= symbols["TCPI_OPT_WSCALE"]
	}
	if i.SACK {
		v |= symbols["TCPI_OPT_SACK"]
	}
	if i.SynData {
		v |= symbols["TCPI_OPT_SYN_DATA"]
	}
	if i.ECN {
		v |= symbols["TCPI_OPT_ECN"]
	}
	return v
}

// info is a snapshot of the connection in use, also when its socket is closed.
func (r *runner) info() *stack.TCPInfo {
	i := &stack.TCPInfo{State: stack.StateClosed}
	c := r.cur
	if r.w == nil || c == nil {
		return i
	}
	if s := c.sock; s != nil && s.tcp != nil {
		*i = s.tcp.Info()
		return i
	} else if s != nil && s.last.State != stack.StateClosed { // it is gone; this is how it was
		*i = s.last
		i.State = stack.StateClosed
	}
	r.w.stack.EachTCP(func(t *stack.TCP) {
		if t.LocalAddr() == c.local && t.RemoteAddr() == c.remote {
			*i = t.Info()
		}
	})
	return i
}

// noteInfo keeps what there is to know of connections that the next packet may end.
func (r *runner) noteInfo() {
	for _, c := range r.conns {
		if s := c.sock; s != nil && s.tcp != nil && s.conn == c {
			s.last = s.tcp.Info()
		}
	}
}

// counter is stat("TCP.RetransSegs"), a counter of the stack by the names in
// stack.Stats, and drops("tcp_paws"), how many packets were dropped for a reason.
func (sc *scope) counter(name string, args []value) (value, error) {
	if len(args) != 1 || args[0].kind != vStr {
		return value{}, sc.fault("%s wants one name in quotes", name)
	}
	if sc.r.w == nil {
		return integer(0), nil
	}
	st := sc.r.w.stack.Stats()
	if name == "drops" {
		for r := range stack.NumDropReasons {
			if r.String() == args[0].s {
				return integer(int64(st.Drops[r])), nil
			}
		}
		return value{}, unsupported(sc.line, "the reason %q", args[0].s)
	}
	group, field, _ := strings.Cut(args[0].s, ".")
	v := reflect.ValueOf(st).Elem().FieldByName(group)
	if v.IsValid() && v.Kind() == reflect.Struct {
		if v = v.FieldByName(field); v.IsValid() && v.Kind() == reflect.Uint64 {
			return integer(int64(v.Uint())), nil
		}
	}
	return value{}, unsupported(sc.line, "the counter %q", args[0].s)
}
