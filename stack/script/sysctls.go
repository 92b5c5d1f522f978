package script

import (
	"errors"
	"strconv"
	"time"

	"github.com/shardstack/shardstack/stack"
)

// sysctls are those that have an equal in the stack's configuration. nil: what
// it asks for makes no difference here.
var sysctls = map[string]sysctlFunc{
	"tcp_timestamps":          onOff(func(c *stack.Config, on bool) { c.TCP.NoTimestamps = !on }),
	"tcp_window_scaling":      onOff(func(c *stack.Config, on bool) { c.TCP.NoWindowScale = !on }),
	"tcp_rmem":                sizes(func(c *stack.Config) (size, most *int) { return &c.TCP.RecvBuf, &c.TCP.RecvBufMax }),
	"tcp_wmem":                sizes(func(c *stack.Config) (size, most *int) { return &c.TCP.SendBuf, &c.TCP.SendBufMax }),
	"tcp_sack":                onOff(func(c *stack.Config, on bool) { c.TCP.NoSACK = !on }),
	"tcp_tw_reuse":            onOff(func(c *stack.Config, on bool) { c.TCP.TimeWaitReuse = on }),
	"tcp_max_syn_backlog":     count(func(c *stack.Config) *int { return &c.TCP.SynQueue }),
	"tcp_challenge_ack_limit": count(func(c *stack.Config) *int { return &c.TCP.ChallengeAcks }),
	"tcp_syncookies": number(func(c *stack.Config, n int64) string {
		c.TCP.SynCookies = map[int64]stack.SynCookies{0: stack.CookiesNever, 2: stack.CookiesAlways}[n]
		return ""
	}),
	"tcp_ecn": number(func(c *stack.Config, n int64) string {
		c.TCP.ECN = map[int64]stack.ECNMode{0: stack.ECNOff, 1: stack.ECNOn}[n]
		return ""
	}),
	"tcp_congestion_control": func(c *stack.Config, v []string) (string, error) {
		if len(v) != 1 {
			return "", errors.New("want one name")
		}
		c.TCP.Congestion = v[0]
		return "", nil
	},
	"tcp_syn_retries":      count(func(c *stack.Config) *int { return &c.TCP.SYNRetries }),
	"tcp_synack_retries":   count(func(c *stack.Config) *int { return &c.TCP.SYNRetries }),
	"tcp_retries2":         count(func(c *stack.Config) *int { return &c.TCP.Retries }),
	"tcp_keepalive_probes": count(func(c *stack.Config) *int { return &c.TCP.KeepCount }),
	"tcp_keepalive_time":   duration(time.Second, func(c *stack.Config) *time.Duration { return &c.TCP.KeepIdle }),
	"tcp_keepalive_intvl":  duration(time.Second, func(c *stack.Config) *time.Duration { return &c.TCP.KeepInterval }),
	"tcp_fin_timeout":      duration(time.Second, func(c *stack.Config) *time.Duration { return &c.TCP.FinWait2 }),
	"tcp_rto_min_us":       duration(time.Microsecond, func(c *stack.Config) *time.Duration { return &c.TCP.MinRTO }),
	"tcp_rto_max_ms":       duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.MaxRTO }),
	"tcp_invalid_ratelimit": number(func(c *stack.Config, n int64) string {
		if c.TCP.ChallengeInterval = time.Duration(n) * time.Millisecond; n == 0 {
			c.TCP.ChallengeInterval = -1
		}
		return ""
	}),
	"tcp_mtu_probing":     number(func(c *stack.Config, n int64) string { c.TCP.MTUProbing = stack.MTUProbing(n); return "" }),
	"tcp_base_mss":        count(func(c *stack.Config) *int { return &c.TCP.MTUProbeBase }),
	"tcp_mtu_probe_floor": count(func(c *stack.Config) *int { return &c.TCP.MTUProbeFloor }),
	"tcp_probe_threshold": count(func(c *stack.Config) *int { return &c.TCP.MTUProbeThreshold }),
	"tcp_probe_interval":  duration(time.Second, func(c *stack.Config) *time.Duration { return &c.TCP.MTUProbeInterval }),
	"ip_default_ttl":      number(func(c *stack.Config, n int64) string { c.TTL = uint8(n); return "" }),
	"ip_forward":          onOff(func(c *stack.Config, on bool) { c.Forward = on }),
	"ip_local_port_range": func(c *stack.Config, v []string) (string, error) {
		lo, err := middle(v[:min(len(v), 1)])
		if err != nil {
			return "", err
		}
		hi, err := middle(v[max(len(v)-1, 0):])
		c.TCP.PortMin, c.TCP.PortMax = uint16(lo), uint16(hi)
		return "", err
	},
	"tcp_fastopen_blackhole_timeout_sec": duration(time.Second, func(c *stack.Config) *time.Duration { return &c.TCP.FastOpen.BlackHole }),

	// They do nothing in Linux either, any more.
	"tcp_fack": nil, "tcp_low_latency": nil, "tcp_no_metrics_save": nil,
}

// knobs are the parts of the configuration that Linux has no sysctl for, as
// shardstack.NAME.
var knobs = map[string]sysctlFunc{
	"recv_buf":            count(func(c *stack.Config) *int { return &c.TCP.RecvBuf }),
	"send_buf":            count(func(c *stack.Config) *int { return &c.TCP.SendBuf }),
	"recv_buf_max":        count(func(c *stack.Config) *int { return &c.TCP.RecvBufMax }),
	"send_buf_max":        count(func(c *stack.Config) *int { return &c.TCP.SendBufMax }),
	"mss":                 count(func(c *stack.Config) *int { return &c.TCP.MSS }),
	"initial_window":      count(func(c *stack.Config) *int { return &c.TCP.InitialWindow }),
	"no_delay":            onOff(func(c *stack.Config, on bool) { c.TCP.NoDelay = on }),
	"delayed_ack_ms":      duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.DelayedAck }),
	"ack_every":           count(func(c *stack.Config) *int { return &c.TCP.AckEvery }),
	"quick_acks":          count(func(c *stack.Config) *int { return &c.TCP.QuickAcks }),
	"min_rto_ms":          duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.MinRTO }),
	"max_rto_ms":          duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.MaxRTO }),
	"initial_rto_ms":      duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.InitialRTO }),
	"time_wait_ms":        duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.TimeWait }),
	"user_timeout_ms":     duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.UserTimeout }),
	"user_timeout_option": onOff(func(c *stack.Config, on bool) { c.TCP.UserTimeoutOption = on }),
	"max_out_of_order":    count(func(c *stack.Config) *int { return &c.TCP.MaxOutOfOrder }),
	"max_conns":           count(func(c *stack.Config) *int { return &c.TCP.MaxConns }),
	"fast_open_servers":   count(func(c *stack.Config) *int { return &c.TCP.FastOpen.Servers }),
	"fast_open_pause_ms":  duration(time.Millisecond, func(c *stack.Config) *time.Duration { return &c.TCP.FastOpen.Pause }),
	"reset_rate":          count(func(c *stack.Config) *int { return &c.TCP.ResetRate }),
	"dscp":                number(func(c *stack.Config, n int64) string { c.TCP.DSCP = uint8(n); return "" }),
}

// sizes sets a buffer from "least default most"; one number is all of them.
func sizes(field func(c *stack.Config) (size, most *int)) sysctlFunc {
	return func(c *stack.Config, v []string) (string, error) {
		n, err := middle(v)
		if err != nil {
			return "", err
		}
		m, err := middle(v[max(len(v)-1, 0):])
		size, most := field(c)
		*size, *most = n, m
		return "", err
	}
}

// middle is the default of three numbers (least, default, most), or the only
// one.
func middle(v []string) (int, error) {
	i := 0
	if len(v) == 3 {
		i = 1
	}
	if len(v) == 0 {
		v = []string{""}
	}
	n, err := strconv.ParseInt(v[i], 0, 32)
	return int(n), err
}
