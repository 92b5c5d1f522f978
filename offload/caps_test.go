package offload_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/offload"
)

func TestCapsHas(t *testing.T) {
	c := offload.TxIPCsum | offload.TSO4
	require.True(t, c.Has(offload.TSO4))
	require.True(t, c.Has(offload.TSO4|offload.TxIPCsum))
	require.False(t, c.Has(offload.TSO4|offload.TSO6), "one of the two is not enough")
	require.True(t, c.Has(0))
	require.False(t, offload.Caps(0).Has(offload.RxCsum))
}

func TestCapsString(t *testing.T) {
	require.Equal(t, "none", offload.Caps(0).String())
	require.Equal(t, "TxIPCsum|TxTCPCsum|TxUDPCsum", offload.TxCsum.String())
	require.Equal(t, "RSSHash|RxTime", (offload.RSSHash | offload.RxTime).String())
	require.Equal(t, "LRO|unknown", (offload.LRO | 1<<31).String())

	names := strings.Split(offload.All.String(), "|")
	require.Len(t, names, 16)
	require.NotContains(t, names, "unknown")
	require.Equal(t, "unknown", (offload.BigTCP << 1).String(), "BigTCP is the last")
	require.Equal(t, offload.BigTCP<<1-1, offload.All)
	require.True(t, offload.All.Has(offload.Software))
}
