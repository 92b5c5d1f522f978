//go:build dpdk

#include <string.h>

#include <rte_prefetch.h>

#include "tx.h"

_Static_assert(sizeof(struct rte_mbuf) == SP_MBUF, "an mbuf is two cache lines");
_Static_assert(sizeof(struct sp_pbuf) == 64, "the hot line of a pbuf is one");
_Static_assert(RTE_PKTMBUF_HEADROOM == SP_HEADROOM, "the headroom is DPDK's default");
_Static_assert(offsetof(struct rte_mbuf, nb_segs) == offsetof(struct rte_mbuf, refcnt) + 2, "one word");
_Static_assert(RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN, "tags are put together in one word");

uint64_t sp_tx_flags[64];

__attribute__((constructor)) static void sp_tx_init(void)
{
	uint32_t i;
	for (i = 0; i < 64; i++) {
		uint32_t f = i << SP_TX_SHIFT;
		uint64_t ol = 0;
		if (f & SP_TX_IP_CSUM) {
			ol |= RTE_MBUF_F_TX_IP_CKSUM;
		}
		if (f & SP_TX_TCP_CSUM) {
			ol |= RTE_MBUF_F_TX_TCP_CKSUM;
		} else if (f & SP_TX_UDP_CSUM) {
			ol |= RTE_MBUF_F_TX_UDP_CKSUM;
		}
		if (f & SP_TX_TSO) {
			ol |= RTE_MBUF_F_TX_TCP_SEG;
		}
		if (f & SP_TX_USO) {
			ol |= RTE_MBUF_F_TX_UDP_SEG;
		}
		if (f & SP_TX_VLAN) {
			ol |= RTE_MBUF_F_TX_VLAN;
		}
		sp_tx_flags[i] = ol;
	}
}

/* sp_build makes the mbuf of packet i; NULL: not now, or it is refused. */
static inline struct rte_mbuf *sp_build(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	struct sp_pbuf *p = sp_at(b->ps[i]);
	uint32_t limit = p->flags & (SP_TX_TSO | SP_TX_USO) ? UINT16_MAX + 64 : q->max_frame, sort;
	if (unlikely(p->tot_len < RTE_ETHER_HDR_LEN || p->tot_len > limit)) {
		b->way[i] = SP_REFUSED;
		return NULL;
	}
	if (likely(p->next == 0 && (p->flags & q->copied) == 0 && (sort = sp_ours(q, p)) != 0)) {
		struct rte_mbuf *m = sp_mbuf_of(b->ps[i]);
		if (likely(p->ref == 1)) {
			sp_segment(m, p);
			b->orders |= sp_first(m, p, 1);
			p->ref = 0;
			q->sent[sort - 1]++;
			b->way[i] = SP_DIRECT;
			return m;
		}
		if (p->len >= q->hold_least && sort <= SP_CLASSES && sp_alone(m) && q->holds_tail - q->holds_head <= q->holds_mask) {
			sp_hold(q, b, i, m, p);
			return m;
		}
		if (p->len < q->hold_least && (m = sp_spare(q, b, i, p)) != NULL) {
			return m;
		}
	}
	return sp_hard(q, b, i);
}

/* sp_refuse counts a packet that does not go, for Go to free. */
static void sp_refuse(struct sp_queue *q, uint64_t p)
{
	SP_COUNT(q->n.tx_errors, 1);
	q->released[q->released_n++] = p;
}

/* sp_prepared has the device look at packets with orders, as some must (sums of
 * pseudo-headers, limits); it returns how many may go. */
static uint32_t sp_prepared(struct sp_queue *q, uint32_t n, int orders)
{
	return orders ? rte_eth_tx_prepare(q->port, q->queue, q->tx_mb, (uint16_t)n) : n;
}

/* sp_room is how many of n packets a pair in memory has room for, so that they
 * are not copied in vain. */
static inline uint32_t sp_room(const struct sp_queue *q, uint32_t n)
{
	return q->tx_ring == NULL ? n : RTE_MIN(n, rte_ring_free_count(q->tx_ring));
}

/* sp_link_down drops everything: the other end of the pair is gone. */
static uint32_t sp_link_down(struct sp_queue *q, const uint64_t *ps, uint32_t n)
{
	memcpy(q->released + q->released_n, ps, n * sizeof(ps[0]));
	q->released_n += n;
	SP_COUNT(q->n.tx_dropped, n);
	return n;
}

/* sp_send sends the packets that were built and returns how many of them the
 * device took. The others are as they were; one that it can't send at all,
 * the first behind those, is refused and counts as taken. Direct ones that it took
 * are not ours any more, not even to look at. */
static uint32_t sp_send(struct sp_queue *q, struct sp_burst *b, uint32_t built)
{
	uint32_t i, good = sp_prepared(q, built, b->orders), n = 0, bad;
	if (likely(good != 0)) {
		n = rte_eth_tx_burst(q->port, q->queue, q->tx_mb, (uint16_t)good);
	}
	for (i = 0; unlikely(b->hard) && i < n; i++) {
		sp_sent(q, b, i);
	}
	bad = n == good && good < built;
	for (i = built; i-- != n;) { /* backwards, as holds are a stack here */
		sp_undo(q, b, i);
	}
	if (b->copied != 0) {
		SP_COUNT(q->n.tx_copied, b->copied);
	}
	if (b->held != 0) {
		SP_COUNT(q->n.tx_held, b->held);
	}
	if (n != 0) {
		SP_COUNT(q->n.tx_packets, n);
		SP_COUNT(q->n.tx_bytes, b->bytes);
	}
	if (unlikely(bad)) {
		sp_refuse(q, b->ps[n]);
	}
	return n + bad;
}

/* sp_all sends a burst through an open queue. */
static uint32_t sp_all(struct sp_queue *q, const uint64_t *ps, uint32_t n)
{
	struct sp_burst b;
	uint32_t i, built = 0, refused = 0;
	b.ps = ps;
	b.bytes = 0;
	b.copied = b.held = 0;
	b.orders = b.hard = 0;
	for (i = 0; i < n && i < SP_AHEAD; i++) {
		rte_prefetch0(sp_mbuf_of(ps[i]));
	}
	for (i = 0; i < n; i++) {
		struct rte_mbuf *m;
		if (likely(i + SP_AHEAD < n)) {
			rte_prefetch0(sp_mbuf_of(ps[i + SP_AHEAD]));
			rte_prefetch0(sp_at(ps[i + SP_AHEAD]));
		}
		m = sp_build(q, &b, built);
		if (likely(m != NULL)) {
			b.bytes += sp_at(ps[i])->tot_len;
			q->tx_mb[built++] = m;
			continue;
		}
		if (b.way[built] != SP_REFUSED || built != 0) {
			break; /* no mbufs; or it is for the next burst to refuse it */
		}
		sp_refuse(q, ps[i]);
		refused++;
		b.ps++;
	}
	return likely(built != 0) ? refused + sp_send(q, &b, built) : refused;
}

uint32_t sp_tx(uintptr_t queue, const uint64_t *ps, uint32_t n, int64_t now)
{
	struct sp_queue *q = (struct sp_queue *)queue;
	sp_thread();
	memset(q->sent, 0, sizeof(q->sent));
	q->released_n = 0;
	n = RTE_MIN(n, (uint32_t)SP_TX_MAX);
	if (unlikely(!sp_enter(q))) {
		return 0;
	}
	sp_balance(q->pool);
	if (q->holds_head != q->holds_tail) {
		sp_reclaim(q, now, SP_TX_MAX);
	}
	if (unlikely(q->peer_up != NULL && !__atomic_load_n(q->peer_up, __ATOMIC_ACQUIRE))) {
		n = sp_link_down(q, ps, n);
	} else {
		n = sp_all(q, ps, sp_room(q, n));
	}
	sp_leave(q);
	return n;
}
