package stack

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/pbuf/pbuftest"
)

func TestConfig_ZeroIsTheDefault(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	c := Config{Pool: pool}
	require.NoError(t, c.Validate())
	require.Zero(t, c.TTL, "Validate changes nothing")
	d := c
	d.setDefaults()
	require.NoError(t, d.Validate(), "the defaults, spelt out, are valid too")
	e := d
	e.setDefaults()
	require.Equal(t, d, e)
	require.Equal(t, uint8(64), d.TTL)
	require.Equal(t, ARPConfig{MaxAge: 5 * time.Minute, QueueLen: 64, Retries: 5, Size: 1024}, d.ARP)
	require.Equal(t, 60*time.Second, d.Reassembly.Timeout)
	require.Equal(t, 256<<10, d.TCP.RecvBuf)
	require.Equal(t, uint16(32768), d.TCP.PortMin)
}

func TestConfig_Contradictions(t *testing.T) {
	pool := pbuftest.NewPool(t, pbuf.Config{})
	for name, bad := range map[string]func(c *Config){
		"no pool":             func(c *Config) { c.Pool = nil },
		"ARP age":             func(c *Config) { c.ARP.MaxAge = time.Millisecond },
		"ARP age, too old":    func(c *Config) { c.ARP.MaxAge = 25 * time.Hour },
		"ARP queue":           func(c *Config) { c.ARP.QueueLen = -1 },
		"ARP retries":         func(c *Config) { c.ARP.Retries = 256 },
		"ARP size":            func(c *Config) { c.ARP.Size = -1 },
		"reassembly time":     func(c *Config) { c.Reassembly.Timeout = 121 * time.Second },
		"reassembly buffers":  func(c *Config) { c.Reassembly.MaxBuffers = -1 },
		"receive buffer":      func(c *Config) { c.TCP.RecvBuf = 535 },
		"window and no scale": func(c *Config) { c.TCP.RecvBuf, c.TCP.NoWindowScale = 1<<20, true },
		"send buffer":         func(c *Config) { c.TCP.SendBuf = 1<<30 + 1 },
		"MSS":                 func(c *Config) { c.TCP.MSS = 87 },
		"initial window":      func(c *Config) { c.TCP.InitialWindow = -1 },
		"peers' delayed ACK":  func(c *Config) { c.TCP.MaxAckDelay = 501 * time.Millisecond },
		"delayed ACK":         func(c *Config) { c.TCP.DelayedAck = 501 * time.Millisecond },
		"RTO order":           func(c *Config) { c.TCP.MinRTO = 2 * time.Second },
		"RTO order, top":      func(c *Config) { c.TCP.MaxRTO = time.Millisecond },
		"retries":             func(c *Config) { c.TCP.Retries = -1 },
		"SYN retries":         func(c *Config) { c.TCP.SYNRetries = 256 },
		"ports":               func(c *Config) { c.TCP.PortMin, c.TCP.PortMax = 2000, 1000 },
		"connections":         func(c *Config) { c.TCP.MaxConns = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{Pool: pool}
			bad(&c)
			require.ErrorIs(t, c.Validate(), ErrVal)
			_, err := New(c)
			require.ErrorIs(t, err, ErrVal)
		})
	}
}
