package device

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
)

func TestParse(t *testing.T) {
	for text, mem := range map[string]bool{
		"mem": true, "tap:gen0": false, "tap:a:b": false, "dpdk:0000:01:00.0": false, "dpdk:net_tap0,iface=a": false, "dpdk:pair": true,
	} {
		n, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, mem, n.InMemory(), text)
		require.Equal(t, text, n.String())
	}
	require.True(t, Name{}.InMemory())
	for text, want := range map[string]string{
		"": "neither", "tap": "needs a name", "tap:": "needs a name", "eth0": "neither", "mem:x": "neither", "dpdk": "needs a device", "dpdk:": "needs a device", "xdp:0": "neither",
	} {
		_, err := Parse(text)
		require.ErrorIs(t, err, ErrName, text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "mem", "tap", "tap:", "tap:gen0", "tap:tap:x", ":", "tap:\x00", "dpdk:pair", "dpdk:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil {
			require.ErrorIs(t, err, ErrName)
			return
		}
		require.Equal(t, text, n.String())
	})
}

func TestOpen(t *testing.T) {
	_, err := Name{}.Open(Config{})
	require.ErrorIs(t, err, port.ErrConfig)

	n, err := Parse("tap:a:b")
	require.NoError(t, err)
	_, err = n.Open(Config{})
	require.ErrorIs(t, err, port.ErrConfig, "no name that a device can have")

	testenv.Root(t)
	testenv.Device(t, "/dev/net/tun")
	n, err = Parse("tap:gen0")
	require.NoError(t, err)
	p, err := n.Open(Config{
		Netns: testenv.Netns(t), Queues: 2, MTU: 1400, QueueLen: 700,
		KernelAddrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.2/24")},
	})
	require.NoError(t, err)
	require.Equal(t, "gen0", p.Info().Name)
	require.Equal(t, 2, p.Info().Queues)
	require.Equal(t, 1400, p.Info().MTU)
	require.NotEqual(t, offload.MultiSeg, p.Info().Caps)
	require.NoError(t, p.Close())

	p, err = n.Open(Config{Netns: testenv.Netns(t), NoOffload: true})
	require.NoError(t, err)
	require.Equal(t, offload.MultiSeg, p.Info().Caps, "all that is left")
	require.NoError(t, p.Close())
}
