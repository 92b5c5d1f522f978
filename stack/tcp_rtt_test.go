package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func rttConfig() *TCPConfig {
	var c Config
	c.setDefaults()
	c.TCP.MinRTO = time.Millisecond
	return &c.TCP
}

func TestRTT_RFC6298_2_1_InitialRTO(t *testing.T) {
	var r rttEstimator
	r.setBounds(rttConfig())
	require.Equal(t, int64(time.Second), r.rto())
}

func TestRTT_RFC6298_2_2_FirstSample(t *testing.T) {
	var r rttEstimator
	cfg := rttConfig()
	r.setBounds(cfg)
	r.sample(int64(100 * time.Millisecond))
	// SRTT = R, RTTVAR = R/2, RTO = SRTT + 4*RTTVAR
	require.Equal(t, uint32(100_000), r.srtt8/8)
	require.Equal(t, uint32(50_000), r.rttvar4/4)
	require.Equal(t, int64(300*time.Millisecond), r.rto())
}

func TestRTT_RFC6298_2_3_LaterSamples(t *testing.T) {
	var r rttEstimator
	cfg := rttConfig()
	r.setBounds(cfg)
	srtt, rttvar := 0.0, 0.0
	for i, ms := range []float64{100, 120, 80, 200, 100, 90, 95, 300, 100} {
		r.sample(int64(ms * 1e6))
		if i == 0 {
			srtt, rttvar = ms, ms/2
		} else {
			d := srtt - ms
			if d < 0 {
				d = -d
			}
			rttvar = 0.75*rttvar + 0.25*d
			srtt = 0.875*srtt + 0.125*ms
		}
		require.InDelta(t, srtt*1000, float64(r.srtt8/8), 50)
		require.InDelta(t, rttvar*1000, float64(r.rttvar4/4), 50)
	}
}

func TestRTT_RFC6298_2_4_2_5_Bounds(t *testing.T) {
	cfg := rttConfig()
	cfg.MinRTO, cfg.MaxRTO = 200*time.Millisecond, 60*time.Second
	var r rttEstimator
	r.setBounds(cfg)
	for range 50 {
		r.sample(int64(50 * time.Microsecond))
	}
	require.Equal(t, int64(200*time.Millisecond), r.rto())
	for range 50 {
		r.sample(int64(1000 * time.Second))
	}
	require.Equal(t, int64(60*time.Second), r.rto())
	r.backoff = 255
	require.Equal(t, int64(60*time.Second), r.rto(), "no overflow")
}

func TestRTT_RFC6298_5_5_Backoff(t *testing.T) {
	var r rttEstimator
	r.setBounds(rttConfig())
	for i := range 6 {
		require.Equal(t, int64(time.Second)<<i, r.rto())
		r.backoff++
	}
	require.Equal(t, int64(60*time.Second), r.rto())
}
