//go:build dpdk

#include <string.h>

#include <rte_memory.h>
#include <rte_prefetch.h>

#include "inline.h"

_Static_assert(sizeof(struct rte_mbuf) == SP_MBUF, "an mbuf is two cache lines");
_Static_assert(sizeof(struct sp_pbuf) == 64, "the hot line of a pbuf is one");
_Static_assert(RTE_PKTMBUF_HEADROOM == SP_HEADROOM, "the headroom is DPDK's default");
_Static_assert(sizeof(struct rte_mbuf_ext_shared_info) <= sizeof(((struct sp_hold *)0)->info), "room for the counter");
_Static_assert(RTE_BYTE_ORDER == RTE_LITTLE_ENDIAN, "tags are put together in one word");

/* How a packet goes out. */
enum sp_way {
	SP_DIRECT,   /* its mbufs are the device's */
	SP_HELD,     /* so is its mbuf, with a reference of ours */
	SP_EXTERNAL, /* the device reads its bytes through other mbufs */
	SP_COPIED,   /* the device has a copy */
	SP_REFUSED   /* it does not go: too short or too long */
};

/* A packet of a burst. */
struct sp_out {
	struct sp_pbuf *p;
	uint32_t bytes;
	uint16_t counts[SP_CLASSES + 1]; /* elements that go, by class, and lent */
	uint8_t way;
};

/* The orders of pbuf.Meta as flags of an mbuf, without the IP version. */
static uint64_t sp_tx_flags[64];

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

/* sp_orders carries the orders of a packet over to its first mbuf. The IPv4
 * header that is cut up gets its sums anew. */
static inline void sp_orders(struct rte_mbuf *m, const struct sp_pbuf *p)
{
	uint64_t ol = sp_tx_flags[(p->flags & SP_TX_ORDERS) >> SP_TX_SHIFT];
	m->ol_flags = ol | (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL));
	if (ol & (RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)) {
		const uint8_t *ip = (const uint8_t *)(uintptr_t)p->payload + p->l2_len;
		if (*ip >> 4 == 4) {
			m->ol_flags |= RTE_MBUF_F_TX_IPV4;
			if (ol & (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)) {
				m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
			}
		} else {
			m->ol_flags |= RTE_MBUF_F_TX_IPV6;
		}
	}
	m->tx_offload = 0;
	m->l2_len = p->l2_len;
	m->l3_len = p->l3_len;
	m->l4_len = p->l4_len;
	m->tso_segsz = p->seg_size;
	m->vlan_tci = p->vlan;
}

/* sp_segment makes an mbuf say where the bytes of its own pbuf are. */
static inline void sp_segment(struct rte_mbuf *m, const struct sp_pbuf *p)
{
	m->data_off = (uint16_t)(p->payload - (uint64_t)(uintptr_t)m->buf_addr);
	m->data_len = (uint16_t)p->len;
	m->nb_segs = 1;
}

/* sp_first completes the first mbuf of a packet; it returns whether there is
 * anything for the device to do. */
static inline int sp_first(struct rte_mbuf *m, const struct sp_pbuf *p, uint16_t segs)
{
	m->pkt_len = p->tot_len;
	m->nb_segs = segs;
	if (p->flags & SP_TX_ORDERS) {
		sp_orders(m, p);
		return 1;
	}
	m->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
	return 0;
}

/* sp_ours reports whether the element of a buffer may be the device's as it is,
 * whoever holds it. */
static inline int sp_ours(const struct sp_queue *q, const struct sp_pbuf *p)
{
	return q->direct[p->state] && p->home == q->pool_id && p->at == q->pool_id;
}

/* sp_count counts an element that goes. */
static inline void sp_count(struct sp_out *o, const struct sp_pbuf *p)
{
	o->counts[p->state & SP_STATE_LENT ? SP_CLASSES : p->state & SP_STATE_CLASS]++;
}

/* sp_chain links the mbufs of a packet in several buffers if all of them may go
 * as they are; NULL: not. */
static struct rte_mbuf *sp_chain(struct sp_queue *q, struct sp_out *o, int *orders)
{
	struct sp_pbuf *p = o->p;
	struct rte_mbuf *first = sp_mbuf_of((uint64_t)(uintptr_t)p), *m = first;
	uint16_t segs = 0;
	for (; p != NULL; p = sp_at(p->next)) {
		if (p->ref != 1 || !sp_ours(q, p) || segs++ == RTE_MBUF_MAX_NB_SEGS - 1) {
			return NULL;
		}
	}
	for (p = o->p; p != NULL; p = sp_at(p->next)) {
		struct rte_mbuf *s = sp_mbuf_of((uint64_t)(uintptr_t)p);
		sp_segment(s, p);
		if (p != o->p) {
			s->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
			m->next = s;
		}
		m = s;
		m->next = NULL;
		p->ref = 0;
		sp_count(o, p);
	}
	*orders |= sp_first(first, o->p, segs);
	return first;
}

/* sp_copy makes a copy of a packet; NULL: no mbufs. */
static struct rte_mbuf *sp_copy(struct sp_queue *q, struct sp_out *o, int *orders)
{
	const struct sp_pbuf *p = o->p;
	struct rte_mempool *mp = q->copy;
	struct rte_mbuf *first, *m;
	uint32_t off = 0;
	uint16_t segs = 1;
	if (q->copy_small != NULL && p->tot_len + SP_HEADROOM <= rte_pktmbuf_data_room_size(q->copy_small)) {
		mp = q->copy_small;
	}
	if ((first = rte_pktmbuf_alloc(mp)) == NULL) {
		return NULL;
	}
	m = first;
	while (p != NULL) {
		uint32_t k = RTE_MIN(p->len - off, (uint32_t)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_mtod_offset(m, void *, m->data_len), (const void *)(uintptr_t)(p->payload + off), k);
		m->data_len += k;
		off += k;
		if (off == p->len) {
			p = sp_at(p->next);
			off = 0;
		} else {
			if ((m->next = rte_pktmbuf_alloc(q->copy)) == NULL) {
				rte_pktmbuf_free(first);
				return NULL;
			}
			m = m->next;
			segs++;
		}
	}
	*orders |= sp_first(first, o->p, segs);
	o->way = SP_COPIED;
	return first;
}

/* sp_done_cb is called by whoever frees the last external segment; the counter
 * itself says all there is to know. */
static void sp_done_cb(void *addr, void *opaque)
{
	(void)addr;
	(void)opaque;
}

/* sp_readable says at which address the device finds n bytes; RTE_BAD_IOVA: it
 * can't read them. */
static rte_iova_t sp_readable(const struct sp_queue *q, uint64_t addr, uint32_t n)
{
	const struct sp_pool *l = q->pool;
	uint32_t i;
	if (!q->any_range) {
		for (i = 0; i < l->ranges_n && (addr < l->low[i] || addr + n > l->high[i]); i++) {
			continue;
		}
		if (i == l->ranges_n) {
			return RTE_BAD_IOVA;
		}
	}
	return q->iova_va ? addr : rte_mem_virt2iova((const void *)(uintptr_t)addr);
}

/* sp_external has the device read the bytes where they are, through mbufs that
 * are only headers; NULL: no mbufs, or it can't read them all. */
static struct rte_mbuf *sp_external(struct sp_queue *q, struct sp_out *o, struct sp_hold *h, int *orders)
{
	struct rte_mbuf_ext_shared_info *info = (struct rte_mbuf_ext_shared_info *)(void *)h->info;
	const struct sp_pbuf *p;
	struct rte_mbuf *first = NULL, *last = NULL;
	uint32_t off, segs = 0;
	info->free_cb = sp_done_cb;
	info->fcb_opaque = NULL;
	rte_mbuf_ext_refcnt_set(info, 0);
	for (p = o->p; p != NULL; p = sp_at(p->next)) {
		for (off = 0; off < p->len; off += SP_SEG_MAX) {
			uint16_t k = (uint16_t)RTE_MIN(p->len - off, (uint32_t)SP_SEG_MAX);
			rte_iova_t iova = sp_readable(q, p->payload + off, k);
			struct rte_mbuf *m = iova == RTE_BAD_IOVA ? NULL : rte_pktmbuf_alloc(q->heads);
			if (m == NULL || segs == RTE_MBUF_MAX_NB_SEGS) {
				rte_mbuf_ext_refcnt_set(info, (uint16_t)RTE_MAX(segs, 1u));
				rte_pktmbuf_free(first);
				rte_pktmbuf_free(m);
				return NULL;
			}
			rte_pktmbuf_attach_extbuf(m, (void *)(uintptr_t)(p->payload + off), iova, k, info);
			m->data_off = 0;
			m->data_len = k;
			if (first == NULL) {
				first = m;
			} else {
				last->next = m;
			}
			last = m;
			segs++;
		}
	}
	if (first == NULL) {
		return NULL;
	}
	rte_mbuf_ext_refcnt_set(info, (uint16_t)segs);
	*orders |= sp_first(first, o->p, (uint16_t)segs);
	h->mbuf = NULL;
	h->pbuf = (uint64_t)(uintptr_t)o->p;
	q->holds_tail++;
	o->way = SP_EXTERNAL;
	return first;
}

/* sp_hard is sp_build for packets that are not plain. */
static struct rte_mbuf *sp_hard(struct sp_queue *q, struct sp_out *o, int *orders)
{
	struct sp_pbuf *p = o->p;
	struct sp_hold *h = &q->holds[q->holds_tail & q->holds_mask];
	struct rte_mbuf *m;
	if (p->next != 0 && p->ref == 1 && (m = sp_chain(q, o, orders)) != NULL) {
		return m;
	}
	if (q->shared == SP_SHARED_COPY) {
		return sp_copy(q, o, orders);
	}
	if (q->holds_tail - q->holds_head > q->holds_mask) {
		return NULL; /* too much is under way */
	}
	if (p->next == 0 && p->ref > 1 && (p->state & SP_STATE_SHARED) == 0 && sp_ours(q, p)) {
		m = sp_mbuf_of((uint64_t)(uintptr_t)p);
		if (likely(rte_mbuf_refcnt_read(m) == 1)) {
			sp_segment(m, p);
			*orders |= sp_first(m, p, 1);
			rte_mbuf_refcnt_set(m, 2);
			h->mbuf = m;
			h->pbuf = (uint64_t)(uintptr_t)p;
			q->holds_tail++;
			o->way = SP_HELD;
			return m;
		}
		/* It is still under way from the last time: its mbuf is not to be touched. */
		return sp_copy(q, o, orders);
	}
	if ((m = sp_external(q, o, h, orders)) != NULL) {
		return m;
	}
	return sp_copy(q, o, orders);
}

/* sp_build makes the mbuf of a packet; NULL: not now, or it is refused. */
static inline struct rte_mbuf *sp_build(struct sp_queue *q, struct sp_out *o, int *orders)
{
	struct sp_pbuf *p = o->p;
	struct rte_mbuf *m;
	uint32_t limit = p->flags & (SP_TX_TSO | SP_TX_USO) ? UINT16_MAX + 64 : q->max_frame;
	memset(o->counts, 0, sizeof(o->counts));
	o->bytes = p->tot_len;
	if (unlikely(p->tot_len < RTE_ETHER_HDR_LEN || p->tot_len > limit)) {
		o->way = SP_REFUSED;
		return NULL;
	}
	o->way = SP_DIRECT;
	if (likely(p->next == 0 && p->ref == 1 && sp_ours(q, p))) {
		m = sp_mbuf_of((uint64_t)(uintptr_t)p);
		sp_segment(m, p);
		*orders |= sp_first(m, p, 1);
		p->ref = 0;
		sp_count(o, p);
		return m;
	}
	return sp_hard(q, o, orders);
}

/* sp_release gives a packet back that the device does not need any more: what is
 * simple at once, all else through Go. */
static void sp_release(struct sp_queue *q, struct sp_pbuf *p)
{
	if (p->ref > 1) {
		p->ref--;
		return;
	}
	if (p->next == 0 && (p->state & ~SP_STATE_CLASS) == 0 && sp_ours(q, p)) {
		p->ref = 0;
		q->sent[p->state]++;
		sp_give(q->pool, p->state, sp_mbuf_of((uint64_t)(uintptr_t)p));
		return;
	}
	q->released[q->released_n++] = (uint64_t)(uintptr_t)p;
}

void sp_reclaim(struct sp_queue *q, int64_t now, uint32_t most)
{
	while (q->holds_head != q->holds_tail && q->released_n < RTE_DIM(q->released) - SP_TX_MAX && most-- != 0) {
		struct sp_hold *h = &q->holds[q->holds_head & q->holds_mask];
		int busy = h->mbuf != NULL ? rte_mbuf_refcnt_read(h->mbuf) != 1 :
			rte_mbuf_ext_refcnt_read((struct rte_mbuf_ext_shared_info *)(void *)h->info) != 0;
		if (busy) {
			/* Cards free what they have sent when they need the room. */
			if (q->cleanup && now - q->cleaned > 1000000) {
				q->cleaned = now;
				if (rte_eth_tx_done_cleanup(q->port, q->queue, 0) > 0) {
					continue;
				}
			}
			return;
		}
		q->holds_head++;
		sp_release(q, sp_at(h->pbuf));
	}
}

/* sp_undo takes a packet back that the device has not taken. */
static void sp_undo(struct sp_queue *q, struct sp_out *o, struct rte_mbuf *m)
{
	struct sp_pbuf *p;
	switch (o->way) {
	case SP_DIRECT:
		for (p = o->p; p != NULL; p = sp_at(p->next)) {
			p->ref = 1;
			m = sp_mbuf_of((uint64_t)(uintptr_t)p);
			m->next = NULL;
			m->nb_segs = 1;
		}
		break;
	case SP_HELD:
		q->holds_tail--;
		rte_mbuf_refcnt_set(m, 1);
		break;
	case SP_EXTERNAL:
		q->holds_tail--; /* fall through */
	case SP_COPIED:
		rte_pktmbuf_free(m);
	}
}

/* sp_sent books a packet that the device has taken. Direct ones are not ours
 * any more, not even to look at. */
static inline void sp_sent(struct sp_queue *q, const struct sp_out *o)
{
	switch (o->way) {
	case SP_DIRECT:
		q->sent[0] += o->counts[0];
		q->sent[1] += o->counts[1];
		q->sent[2] += o->counts[2];
		q->sent_lent += o->counts[SP_CLASSES];
		break;
	case SP_HELD:
	case SP_EXTERNAL:
		SP_COUNT(*(o->way == SP_HELD ? &q->n.tx_held : &q->n.tx_external), 1);
		break;
	case SP_COPIED:
		SP_COUNT(q->n.tx_copied, 1);
		sp_release(q, o->p);
	}
}

/* sp_refuse counts a packet that does not go, for Go to free. */
static void sp_refuse(struct sp_queue *q, struct sp_pbuf *p)
{
	SP_COUNT(q->n.tx_errors, 1);
	q->released[q->released_n++] = (uint64_t)(uintptr_t)p;
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
 * the first behind those, is refused and counts as taken. */
static uint32_t sp_send(struct sp_queue *q, struct sp_out *out, uint32_t built, int orders)
{
	uint32_t i, good = sp_prepared(q, built, orders), n = 0, bad;
	uint64_t bytes = 0;
	if (likely(good != 0)) {
		n = rte_eth_tx_burst(q->port, q->queue, q->tx_mb, (uint16_t)good);
	}
	for (i = 0; i < n; i++) {
		bytes += out[i].bytes;
		sp_sent(q, &out[i]);
	}
	if (n != 0) {
		SP_COUNT(q->n.tx_packets, n);
		SP_COUNT(q->n.tx_bytes, bytes);
	}
	bad = n == good && good < built;
	for (i = built; i-- != n;) { /* backwards, as holds are a stack here */
		sp_undo(q, &out[i], q->tx_mb[i]);
	}
	if (unlikely(bad)) {
		sp_refuse(q, out[n].p);
	}
	return n + bad;
}

uint32_t sp_tx(uintptr_t queue, const uint64_t *ps, uint32_t n, int64_t now)
{
	struct sp_queue *q = (struct sp_queue *)queue;
	struct sp_out out[SP_TX_MAX];
	uint32_t i, built = 0, refused = 0;
	int orders = 0;
	sp_thread();
	memset(q->sent, 0, sizeof(q->sent));
	q->sent_lent = q->released_n = 0;
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
		sp_leave(q);
		return n;
	}
	n = sp_room(q, n);
	for (i = 0; i < n && i < 4; i++) {
		rte_prefetch0(sp_mbuf_of(ps[i]));
	}
	for (i = 0; i < n; i++) {
		struct rte_mbuf *m;
		if (likely(i + 4 < n)) {
			rte_prefetch0(sp_mbuf_of(ps[i + 4]));
			rte_prefetch0(sp_at(ps[i + 4]));
		}
		out[built].p = sp_at(ps[i]);
		m = sp_build(q, &out[built], &orders);
		if (likely(m != NULL)) {
			q->tx_mb[built++] = m;
			continue;
		}
		if (out[built].way != SP_REFUSED || built != 0) {
			break; /* no mbufs; or it is for the next burst to refuse it */
		}
		sp_refuse(q, out[0].p);
		refused++;
	}
	n = refused;
	if (likely(built != 0)) {
		n += sp_send(q, out, built, orders);
	}
	sp_leave(q);
	return n;
}

uint32_t sp_reclaim_all(struct sp_queue *q)
{
	memset(q->sent, 0, sizeof(q->sent));
	q->sent_lent = q->released_n = 0;
	sp_reclaim(q, q->cleaned, SP_TX_MAX);
	return q->holds_tail - q->holds_head;
}
