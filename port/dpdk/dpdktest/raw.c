//go:build dpdk

#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "raw.h"

struct rte_mempool *raw_mempool(const char *name, uint32_t n, uint16_t private_size)
{
	uint32_t cache = RTE_MIN((uint32_t)RTE_MEMPOOL_CACHE_MAX_SIZE, n / 3 * 2);
	return rte_pktmbuf_pool_create(name, n, cache, private_size, RTE_PKTMBUF_HEADROOM + 2048, SOCKET_ID_ANY);
}

uint32_t raw_missing(const struct rte_mempool *mp) { return rte_mempool_in_use_count(mp); }

int raw_open(const char *devargs, uint16_t queues, struct rte_mempool *mp)
{
	struct rte_eth_conf conf;
	char name[64];
	uint16_t port, q;
	int err;
	memset(&conf, 0, sizeof(conf));
	memset(name, 0, sizeof(name));
	memcpy(name, devargs, RTE_MIN(strcspn(devargs, ","), sizeof(name) - 1));
	if ((err = rte_dev_probe(devargs)) != 0 || (err = rte_eth_dev_get_port_by_name(name, &port)) != 0 ||
		(err = rte_eth_dev_configure(port, queues, queues, &conf)) != 0) {
		return err;
	}
	for (q = 0; q < queues; q++) {
		if ((err = rte_eth_rx_queue_setup(port, q, 1024, SOCKET_ID_ANY, NULL, mp)) != 0 ||
			(err = rte_eth_tx_queue_setup(port, q, 1024, SOCKET_ID_ANY, NULL)) != 0) {
			return err;
		}
	}
	err = rte_eth_dev_start(port);
	return err != 0 ? err : port;
}

int raw_close(uint16_t port)
{
	struct rte_eth_dev_info info;
	int err;
	if ((err = rte_eth_dev_info_get(port, &info)) != 0 || (err = rte_eth_dev_stop(port)) != 0) {
		return err;
	}
	return rte_dev_remove((struct rte_device *)(uintptr_t)info.device);
}

uint64_t raw_receive(uint16_t port, uint64_t n)
{
	struct rte_mbuf *m[RAW_BURST];
	uint64_t done = 0;
	while (done < n) {
		uint16_t k = rte_eth_rx_burst(port, 0, m, RAW_BURST);
		rte_pktmbuf_free_bulk(m, k);
		done += k;
	}
	return done;
}

/* raw_fill makes a burst of packets. */
static int raw_fill(struct rte_mempool *mp, struct rte_mbuf **m, uint16_t len)
{
	int i;
	if (rte_pktmbuf_alloc_bulk(mp, m, RAW_BURST) != 0) {
		return -1;
	}
	for (i = 0; i < RAW_BURST; i++) {
		m[i]->data_len = len;
		m[i]->pkt_len = len;
	}
	return 0;
}

uint64_t raw_send(uint16_t port, struct rte_mempool *mp, uint64_t n, uint16_t len)
{
	struct rte_mbuf *m[RAW_BURST];
	uint64_t done = 0;
	while (done < n && raw_fill(mp, m, len) == 0) {
		uint16_t k = rte_eth_tx_burst(port, 0, m, RAW_BURST);
		rte_pktmbuf_free_bulk(m + k, RAW_BURST - k);
		done += RAW_BURST;
	}
	return done;
}

uint64_t raw_forward(uint16_t port, uint64_t n)
{
	struct rte_mbuf *m[RAW_BURST];
	uint64_t done = 0;
	while (done < n) {
		uint16_t k = rte_eth_rx_burst(port, 0, m, RAW_BURST);
		uint16_t sent = rte_eth_tx_burst(port, 0, m, k);
		rte_pktmbuf_free_bulk(m + sent, k - sent);
		done += k;
	}
	return done;
}

uint64_t raw_wire(uint16_t from, uint16_t to, struct rte_mempool *mp, uint64_t n, uint16_t len)
{
	struct rte_mbuf *m[RAW_BURST];
	uint64_t done = 0;
	while (done < n && raw_fill(mp, m, len) == 0) {
		uint16_t k = rte_eth_tx_burst(from, 0, m, RAW_BURST);
		rte_pktmbuf_free_bulk(m + k, RAW_BURST - k);
		k = rte_eth_rx_burst(to, 0, m, RAW_BURST);
		rte_pktmbuf_free_bulk(m, k);
		done += k;
	}
	return done;
}

static uint64_t raw_freed;

static void raw_free_cb(void *addr, void *opaque)
{
	(void)opaque;
	raw_freed++;
	free(addr);
}

uint64_t raw_external_freed(void) { return raw_freed; }

/* raw_external makes an mbuf whose bytes are on the heap. */
static struct rte_mbuf *raw_external(struct rte_mempool *mp, const uint8_t *b, uint16_t len)
{
	uint16_t size = (uint16_t)(len + 256);
	void *mem = malloc(size);
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	struct rte_mbuf_ext_shared_info *info;
	if (mem == NULL || m == NULL) {
		free(mem);
		rte_pktmbuf_free(m);
		return NULL;
	}
	info = rte_pktmbuf_ext_shinfo_init_helper(mem, &size, raw_free_cb, NULL);
	rte_pktmbuf_attach_extbuf(m, mem, RTE_BAD_IOVA, size, info);
	memcpy(rte_pktmbuf_append(m, len), b, len);
	return m;
}

/* raw_plain makes an mbuf that has its bytes in it. */
static struct rte_mbuf *raw_plain(struct rte_mempool *mp, const uint8_t *b, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	if (m != NULL) {
		memcpy(rte_pktmbuf_append(m, len), b, len);
	}
	return m;
}

/* raw_make makes the mbuf of a kind. An indirect one holds the direct one that has
 * the bytes, whose other holder lets go. */
static struct rte_mbuf *raw_make(struct rte_mempool *mp, int kind, const uint8_t *b, uint16_t len)
{
	struct rte_mbuf *m, *tail;
	switch (kind) {
	case RAW_EXTERNAL:
		return raw_external(mp, b, len);
	case RAW_INDIRECT:
		tail = raw_plain(mp, b, len);
		m = tail == NULL ? NULL : rte_pktmbuf_clone(tail, mp);
		rte_pktmbuf_free(tail);
		return m;
	case RAW_EXTERNAL_TAIL:
		m = raw_plain(mp, b, len / 2);
		tail = raw_external(mp, b + len / 2, (uint16_t)(len - len / 2));
		if (m == NULL || tail == NULL) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(tail);
			return NULL;
		}
		rte_pktmbuf_chain(m, tail);
		return m;
	}
	return raw_plain(mp, b, len);
}

int raw_send_bytes(uint16_t port, struct rte_mempool *mp, int kind, const uint8_t *b, uint16_t len)
{
	struct rte_mbuf *m = raw_make(mp, kind, b, len);
	if (m == NULL) {
		return -ENOMEM;
	}
	if (rte_eth_tx_burst(port, 0, &m, 1) != 1) {
		rte_pktmbuf_free(m);
		return -EAGAIN;
	}
	return 0;
}

/* Packets that a watched device was given; one thread sends and reads. */
static struct raw_sent raw_list[RAW_SEEN];
static uint32_t raw_n;
static const struct rte_eth_rxtx_callback *raw_looking[RTE_MAX_ETHPORTS];

static uint16_t raw_look(uint16_t port, uint16_t queue, struct rte_mbuf *m[], uint16_t n, void *arg)
{
	uint16_t i;
	(void)port;
	(void)queue;
	(void)arg;
	for (i = 0; i < n && raw_n < RAW_SEEN; i++) {
		struct raw_sent *s = &raw_list[raw_n++];
		s->ol_flags = m[i]->ol_flags;
		s->pkt_len = m[i]->pkt_len;
		s->l2_len = m[i]->l2_len;
		s->l3_len = m[i]->l3_len;
		s->l4_len = m[i]->l4_len;
		s->tso_segsz = m[i]->tso_segsz;
		s->vlan_tci = m[i]->vlan_tci;
		s->segs = m[i]->nb_segs;
	}
	return n;
}

int raw_watch(uint16_t port)
{
	raw_n = 0;
	raw_looking[port] = rte_eth_add_tx_callback(port, 0, raw_look, NULL);
	return raw_looking[port] == NULL ? -rte_errno : 0;
}

uint32_t raw_seen(struct raw_sent *to)
{
	uint32_t n = raw_n;
	memcpy(to, raw_list, n * sizeof(raw_list[0]));
	raw_n = 0;
	return n;
}

static struct raw_dress raw_clothes;
static const struct rte_eth_rxtx_callback *raw_clothing[RTE_MAX_ETHPORTS];

static uint16_t raw_clothe(uint16_t port, uint16_t queue, struct rte_mbuf *m[], uint16_t n, uint16_t max, void *arg)
{
	uint16_t i;
	(void)port;
	(void)queue;
	(void)max;
	(void)arg;
	for (i = 0; i < n; i++) {
		m[i]->ol_flags = raw_clothes.ol_flags;
		m[i]->packet_type = raw_clothes.packet_type;
		m[i]->hash.rss = raw_clothes.rss;
		m[i]->vlan_tci = raw_clothes.vlan_tci;
		m[i]->tso_segsz = raw_clothes.tso_segsz;
		m[i]->data_len = raw_clothes.len;
		m[i]->pkt_len = raw_clothes.len;
		memcpy(rte_pktmbuf_mtod(m[i], void *), raw_clothes.bytes, raw_clothes.len);
	}
	return n;
}

int raw_dress(uint16_t port, const struct raw_dress *d)
{
	raw_clothes = *d;
	if (raw_clothing[port] == NULL) {
		raw_clothing[port] = rte_eth_add_rx_callback(port, 0, raw_clothe, NULL);
	}
	return raw_clothing[port] == NULL ? -rte_errno : 0;
}

void raw_let(uint16_t port)
{
	if (raw_clothing[port] != NULL) {
		(void)rte_eth_remove_rx_callback(port, 0, raw_clothing[port]);
		raw_clothing[port] = NULL;
	}
	if (raw_looking[port] != NULL) {
		(void)rte_eth_remove_tx_callback(port, 0, raw_looking[port]);
		raw_looking[port] = NULL;
	}
}
