package dpdk_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/offload"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/dpdk"
)

func TestValidate(t *testing.T) {
	good := dpdk.Config{Device: "net_tap0,iface=x", Queues: 256, MTU: 9000, RxDesc: 32, TxDesc: 32768, Without: offload.All}
	require.NoError(t, good.Validate())
	for name, c := range map[string]dpdk.Config{
		"no device":    {},
		"only options": {Device: ",iface=x"},
		"blanks":       {Device: "net_tap0, iface=x"},
		"a long name":  {Device: strings.Repeat("x", 64)},
		"queues":       {Device: "x", Queues: 257},
		"fewer":        {Device: "x", Queues: -1},
		"a short MTU":  {Device: "x", MTU: 67},
		"a long MTU":   {Device: "x", MTU: 65535},
		"descriptors":  {Device: "x", RxDesc: 31},
		"too many":     {Device: "x", TxDesc: 40000},
		"odd offloads": {Device: "x", Without: 1 << 30},
	} {
		require.ErrorIs(t, c.Validate(), port.ErrConfig, name)
	}
}

func TestArguments(t *testing.T) {
	cores, err := affinity.ParseList("3-5")
	require.NoError(t, err)
	args, err := dpdk.EAL{Cores: cores, NoHuge: true, Devices: []string{"0000:01:00.0"}, Vdevs: []string{"net_null0"}, More: []string{"--x"}}.Arguments()
	require.NoError(t, err)
	text := strings.Join(args, " ")
	require.True(t, strings.HasPrefix(text, "-l 3 --main-lcore 3 "), text)
	for _, want := range []string{
		"--no-huge", "--iova-mode=va", "-m 4096", "-a 0000:01:00.0", "--vdev net_null0", "--log-level=error", "-a ffff:ff:1f.7",
	} {
		require.Contains(t, text, want)
	}
	require.True(t, strings.HasSuffix(text, " --x"))

	args, err = dpdk.EAL{NoHuge: true, MemoryMB: 64, LogLevel: "8"}.Arguments()
	require.NoError(t, err)
	require.Contains(t, strings.Join(args, " "), "-m 64 --log-level=8")

	args, err = dpdk.EAL{NoHuge: true, NoHugeMB: 12345}.Arguments()
	require.NoError(t, err)
	require.Contains(t, strings.Join(args, " "), "-m 12345 ")

	args, err = dpdk.EAL{Args: []string{"-c", "1"}, MemoryMB: -1}.Arguments()
	require.NoError(t, err)
	require.Equal(t, []string{"-c", "1"}, args, "passed through")
	_, err = dpdk.EAL{MemoryMB: -1}.Arguments()
	require.ErrorIs(t, err, port.ErrConfig)
}

func TestRuleValidate(t *testing.T) {
	v4, v6 := netip.MustParsePrefix("198.18.0.1/32"), netip.MustParsePrefix("2001:db8::/32")
	for _, r := range []dpdk.Rule{
		{EtherType: header.EtherTypeARP, Queue: 1},
		{Src: v4}, {Dst: v6}, {Src: v4, Dst: v4, Proto: header.ProtoTCP, SrcPort: 1, DstPort: 2},
		{Dst: v4, Proto: header.ProtoUDP},
	} {
		require.NoError(t, r.Validate(2), "%+v", r)
	}
	for _, r := range []dpdk.Rule{
		{}, {Queue: 1}, {EtherType: header.EtherTypeARP, Src: v4}, {Src: v4, Dst: v6}, {Proto: header.ProtoTCP},
		{Dst: v4, DstPort: 80}, {Dst: v4, Proto: header.ProtoICMP},
	} {
		require.ErrorIs(t, r.Validate(2), port.ErrConfig, "%+v", r)
	}
	r := dpdk.Rule{Dst: v4, Queue: 2}
	require.ErrorIs(t, r.Validate(2), port.ErrQueue)
}

// Without the tag everything says that it is not there, and all else works.
func TestWithoutTheTag(t *testing.T) {
	if dpdk.Available {
		require.FileExists(t, "eal_unsafe.go")
		return
	}
	_, err := os.Stat("dpdk_off.go")
	require.NoError(t, err)
	_, err = dpdk.Open(dpdk.Config{Device: "0000:01:00.0"})
	require.ErrorIs(t, err, port.ErrNotSupported)
	_, err = dpdk.Open(dpdk.Config{})
	require.ErrorIs(t, err, port.ErrConfig)
	_, _, err = dpdk.NewPair(dpdk.PairConfig{})
	require.ErrorIs(t, err, port.ErrNotSupported)
	require.ErrorIs(t, dpdk.Init(dpdk.EAL{}), port.ErrNotSupported)
	require.ErrorIs(t, dpdk.UseRunning(), port.ErrNotSupported)
	_, err = dpdk.Wrap(0, 0, dpdk.Config{})
	require.ErrorIs(t, err, port.ErrNotSupported)
	require.Zero(t, dpdk.Leaked())
}
