package tap_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/port/tap"
)

func TestConfigValidate(t *testing.T) {
	require.NoError(t, tap.Config{}.Validate())
	require.NoError(t, tap.Config{
		Name: "lab%d", Queues: tap.MaxQueues, MTU: tap.MaxMTU,
		Addrs: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("2001:db8::1/64")},
	}.Validate())
	mac := header.MAC{2, 0, 0, 0, 0, 1}
	for name, cfg := range map[string]tap.Config{
		"long name":     {Name: "abcdefghijklmnop"},
		"slash":         {Name: "a/b"},
		"space":         {Name: "a b"},
		"dots":          {Name: ".."},
		"queues":        {Queues: -1},
		"many queues":   {Queues: tap.MaxQueues + 1},
		"short MTU":     {MTU: tap.MinMTU - 1},
		"long MTU":      {MTU: tap.MaxMTU + 1},
		"queue length":  {QueueLen: -1},
		"group":         {MAC: header.Broadcast},
		"kernel group":  {KernelMAC: header.Broadcast},
		"same MAC":      {MAC: mac, KernelMAC: mac},
		"no address":    {Addrs: []netip.Prefix{{}}},
		"UDPLRO alone":  {UDPLRO: true, NoVnetHdr: true},
		"group address": {Addrs: []netip.Prefix{netip.MustParsePrefix("224.0.0.1/24")}},
		"any address":   {Addrs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		"mapped":        {Addrs: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:1.2.3.4"), 100)}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, cfg.Validate(), port.ErrConfig)
			_, err := tap.New(cfg)
			require.ErrorIs(t, err, port.ErrConfig)
		})
	}
}
