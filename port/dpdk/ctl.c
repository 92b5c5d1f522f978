//go:build dpdk

/* rte_dev_dma_map is older than this library and still called experimental. */
#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "dev.h"

int sp_link(uint16_t port, uint32_t *mbps)
{
	struct rte_eth_link l;
	memset(&l, 0, sizeof(l));
	*mbps = 0;
	if (rte_eth_link_get_nowait(port, &l) != 0 || l.link_status != RTE_ETH_LINK_UP) {
		return 0;
	}
	if (l.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN) {
		*mbps = l.link_speed;
	}
	return 1;
}

int sp_missed(uint16_t port, uint64_t *missed, uint64_t *errors, uint64_t *nombuf)
{
	struct rte_eth_stats s;
	int err = rte_eth_stats_get(port, &s);
	*missed = *errors = *nombuf = 0;
	if (err == 0) {
		*missed = s.imissed;
		*errors = s.ierrors;
		*nombuf = s.rx_nombuf;
	}
	return err;
}

int sp_xstats_count(uint16_t port)
{
	return rte_eth_xstats_get_names(port, NULL, 0);
}

int sp_xstats(uint16_t port, int n, char (*names)[64], uint64_t *values)
{
	struct rte_eth_xstat_name *xn = calloc((size_t)n, sizeof(*xn));
	struct rte_eth_xstat *xs = calloc((size_t)n, sizeof(*xs));
	int i, got = -ENOMEM;
	if (xn != NULL && xs != NULL) {
		got = rte_eth_xstats_get_names(port, xn, (unsigned)n);
		if (got > 0 && got <= n) {
			got = rte_eth_xstats_get(port, xs, (unsigned)n);
		}
		for (i = 0; i < got && i < n; i++) {
			snprintf(names[i], 64, "%s", xn[xs[i].id].name);
			values[i] = xs[i].value;
		}
	}
	free(xn);
	free(xs);
	return got;
}

int sp_set_mtu(uint16_t port, uint16_t mtu) { return rte_eth_dev_set_mtu(port, mtu); }

int sp_promiscuous(uint16_t port, int on)
{
	return on ? rte_eth_promiscuous_enable(port) : rte_eth_promiscuous_disable(port);
}

int sp_allmulticast(uint16_t port, int on)
{
	return on ? rte_eth_allmulticast_enable(port) : rte_eth_allmulticast_disable(port);
}

int sp_mac(uint16_t port, const uint8_t *mac, int add)
{
	struct rte_ether_addr a;
	memcpy(a.addr_bytes, mac, sizeof(a.addr_bytes));
	return add ? rte_eth_dev_mac_addr_add(port, &a, 0) : rte_eth_dev_mac_addr_remove(port, &a);
}

int sp_groups(uint16_t port, const uint8_t *macs, uint32_t n)
{
	return rte_eth_dev_set_mc_addr_list(port, (struct rte_ether_addr *)(uintptr_t)macs, n);
}

static void sp_unmap(struct rte_mempool_memhdr *h, void *opaque)
{
	(void)opaque;
	(void)munmap(h->addr, h->len);
}

enum { SP_HUGE = 2 << 20 };

/* sp_populate_private gives a mempool memory of the process's that the kernel may
 * put into transparent huge pages; a negative errno, or how many elements it has. */
static int sp_populate_private(struct rte_mempool *mp)
{
	size_t each = mp->header_size + mp->elt_size + mp->trailer_size;
	size_t len = (mp->size * each + 2 * SP_HUGE - 1) / SP_HUGE * SP_HUGE;
	void *at = mmap(NULL, len + SP_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *begin;
	int n;
	if (at == MAP_FAILED) {
		return -errno;
	}
	begin = RTE_PTR_ALIGN(at, SP_HUGE);
	if (begin != at) {
		(void)munmap(at, (size_t)(begin - (char *)at));
	}
	if ((char *)at + SP_HUGE != begin) {
		(void)munmap(begin + len, (size_t)((char *)at + SP_HUGE - begin));
	}
	(void)madvise(begin, len, MADV_HUGEPAGE); /* if the kernel has them */
	n = rte_mempool_populate_iova(mp, begin, (rte_iova_t)(uintptr_t)begin, len, sp_unmap, NULL);
	if (n <= 0) {
		(void)munmap(begin, len);
		return n < 0 ? n : -ENOMEM;
	}
	return n == (int)mp->size ? n : -ENOMEM; /* freed with the mempool */
}

int sp_private(void) { return !rte_eal_has_hugepages() && rte_eal_iova_mode() == RTE_IOVA_VA; }

/* What rte_pktmbuf_pool_create does, but for one flag: where addresses are those of
 * the process, what is contiguous there is so for devices, and elements may lie over
 * the edges of pages. DPDK would put each at the beginning of a page of its own if
 * pages are of 4 KiB, and so their headers into the same few sets of the caches. */
struct rte_mempool *sp_mempool(const char *name, uint32_t n, uint32_t room, int node, int private)
{
	struct rte_pktmbuf_pool_private priv;
	uint32_t cache = RTE_MIN((uint32_t)RTE_MEMPOOL_CACHE_MAX_SIZE, n / 3 * 2);
	unsigned flags = rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
	struct rte_mempool *mp;
	int err;
	memset(&priv, 0, sizeof(priv));
	priv.mbuf_priv_size = SP_PRIV;
	priv.mbuf_data_room_size = room == 0 ? 0 : (uint16_t)(room + SP_HEADROOM);
	mp = rte_mempool_create_empty(name, n, (unsigned)(SP_MBUF + priv.mbuf_priv_size + priv.mbuf_data_room_size),
		cache, sizeof(priv), node, flags);
	if (mp == NULL) {
		return NULL;
	}
	if ((err = rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL)) == 0) {
		rte_pktmbuf_pool_init(mp, &priv);
		err = private ? sp_populate_private(mp) : rte_mempool_populate_default(mp);
	}
	if (err < 0) {
		rte_mempool_free(mp);
		errno = -err;
		return NULL;
	}
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

uint32_t sp_mempool_avail(const struct rte_mempool *mp) { return rte_mempool_avail_count(mp); }
uint32_t sp_mempool_size(const struct rte_mempool *mp) { return mp->size; }
void sp_mempool_free(struct rte_mempool *mp) { rte_mempool_free(mp); }

int sp_mempool_fits(const struct rte_mempool *mp, uint32_t *room)
{
	struct rte_mempool *m = (struct rte_mempool *)(uintptr_t)mp;
	uint32_t size = rte_pktmbuf_data_room_size(m);
	*room = size > SP_HEADROOM ? size - SP_HEADROOM : 0;
	return rte_pktmbuf_priv_size(m) == SP_PRIV && size > SP_HEADROOM;
}

static int sp_add_range(struct sp_pool *p, uint64_t low, uint64_t high)
{
	uint32_t n = p->ranges_n;
	if (n != 0 && p->high[n - 1] == low) {
		p->high[n - 1] = high;
		return 0;
	}
	if (n == SP_RANGES) {
		return -1; /* the rest is copied */
	}
	p->low[n] = low;
	p->high[n] = high;
	p->ranges_n = n + 1;
	return 0;
}

static void sp_add_chunk(struct rte_mempool *mp, void *opaque, struct rte_mempool_memhdr *h, unsigned i)
{
	(void)mp;
	(void)i;
	(void)sp_add_range(opaque, (uint64_t)(uintptr_t)h->addr, (uint64_t)(uintptr_t)h->addr + h->len);
}

int sp_mempool_ranges(const struct rte_mempool *mp, struct sp_pool *p)
{
	return (int)rte_mempool_mem_iter((struct rte_mempool *)(uintptr_t)mp, sp_add_chunk, p);
}

int sp_register_memory(struct sp_pool *p, uint16_t port, void *addr, uint64_t len, uint64_t page)
{
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(port, &info);
	if (err != 0) {
		return err;
	}
	if (rte_extmem_register(addr, len, NULL, 0, page) != 0 && rte_errno != EEXIST) {
		return -rte_errno;
	}
	err = rte_dev_dma_map((struct rte_device *)(uintptr_t)info.device, addr, (uint64_t)(uintptr_t)addr, len);
	if (err != 0 && rte_errno != ENOTSUP && rte_errno != EEXIST) {
		err = -rte_errno;
		(void)rte_extmem_unregister(addr, len);
		return err;
	}
	return sp_add_range(p, (uint64_t)(uintptr_t)addr, (uint64_t)(uintptr_t)addr + len);
}

void sp_unregister_memory(uint16_t port, void *addr, uint64_t len)
{
	struct rte_eth_dev_info info;
	if (rte_eth_dev_info_get(port, &info) == 0) {
		(void)rte_dev_dma_unmap((struct rte_device *)(uintptr_t)info.device, addr, (uint64_t)(uintptr_t)addr, len);
	}
	(void)rte_extmem_unregister(addr, len);
}

void *sp_zalloc(uint64_t size) { return rte_zmalloc("shardstack", size, 64); }
void sp_free(void *p) { rte_free(p); }

struct rte_ring *sp_ring_new(const char *name, uint32_t slots)
{
	return rte_ring_create(name, slots, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

int sp_ring_port(const char *name, struct rte_ring **rx, struct rte_ring **tx, uint16_t n)
{
	int port = rte_eth_from_rings(name, rx, n, tx, n, 0);
	return port < 0 ? -rte_errno : port;
}

uint64_t sp_kept(void)
{
	static const struct rte_mbuf_dynflag flag = {.name = "shardstack_kept"};
	int bit = rte_mbuf_dynflag_register(&flag);
	return bit < 0 ? 0 : UINT64_C(1) << bit;
}

void sp_ring_drain(struct rte_ring *r)
{
	void *m;
	while (rte_ring_dequeue(r, &m) == 0) {
		rte_pktmbuf_free(m);
	}
}

void sp_ring_free(struct rte_ring *r) { rte_ring_free(r); }
