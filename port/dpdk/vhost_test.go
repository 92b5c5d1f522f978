//go:build dpdk

package dpdk_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
)

// vhostPair joins the two ends of a virtio device by a socket: a driver of
// virtio_user, and the device itself (vhost).
func vhostPair(t testing.TB, queues int) (driver, device *dpdk.Port, pd, pv []*pbuf.Pool) {
	t.Helper()
	noLeak(t)
	socket := filepath.Join(t.TempDir(), "s")
	q := string(rune('0' + queues))
	pool := pbuf.Config{Small: 256, Buffers: 1024}
	device, pv = opened(t, dpdk.Config{Device: unique("net_vhost") + ",iface=" + socket + ",tso=1,queues=" + q, Queues: queues}, pool)
	driver, pd = opened(t, dpdk.Config{
		Device: unique("net_virtio_user") + ",path=" + socket + ",queue_size=1024,queues=" + q, Queues: queues, RxDesc: 1024, TxDesc: 1024,
	}, pool)
	require.Eventually(t, func() bool { return device.Link().Up }, 10*time.Second, time.Millisecond)
	return driver, device, pd, pv
}

func TestVirtioCaps(t *testing.T) {
	driver, device, _, _ := vhostPair(t, 2)
	t.Log(driver.Info())
	t.Log(device.Info())
}
