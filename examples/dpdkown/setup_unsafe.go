//go:build dpdk

package main

/*
#cgo pkg-config: libdpdk
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

// What a program of its own does: a mempool, one queue each way, and go.
static struct rte_mempool *own_setup(uint16_t port, uint16_t private_size)
{
	struct rte_eth_conf conf;
	struct rte_mempool *mp;
	memset(&conf, 0, sizeof(conf));
	mp = rte_pktmbuf_pool_create("own", 8191, 256, private_size, 128 + 2048, SOCKET_ID_ANY);
	if (mp == NULL || rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL, mp) != 0 ||
		rte_eth_tx_queue_setup(port, 0, 512, SOCKET_ID_ANY, NULL) != 0 || rte_eth_dev_start(port) != 0) {
		return NULL;
	}
	return mp;
}
*/
import "C"

import (
	"errors"
	"unsafe"

	"github.com/shardstack/shardstack/pbuf"
	"github.com/shardstack/shardstack/port/dpdk"
)

// setup starts DPDK with these arguments and its first device with a mempool, all
// without the port's help. go-dpdk or C code may do the same.
func setup(args []string) (port uint16, mp dpdk.Mempool, err error) {
	argv := make([]*C.char, len(args))
	for i, a := range args {
		argv[i] = C.CString(a) // EAL keeps them
	}
	list := C.malloc(C.size_t(len(argv)) * C.size_t(unsafe.Sizeof(argv[0])))
	copy(unsafe.Slice((**C.char)(list), len(argv)), argv)
	if C.rte_eal_init(C.int(len(args)), (**C.char)(list)) < 0 {
		return 0, 0, errors.New("rte_eal_init failed")
	}
	m := C.own_setup(0, pbuf.PbufSize)
	if m == nil {
		return 0, 0, errors.New("the device could not be set up")
	}
	return 0, dpdk.Mempool(uintptr(unsafe.Pointer(m))), nil
}
