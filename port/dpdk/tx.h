/* What the files of the transmit crossing have in common. */
#ifndef SP_TX_H
#define SP_TX_H

#include <string.h>

#include <rte_prefetch.h>

#include "inline.h"

/* How a packet goes out. */
enum sp_way {
	SP_DIRECT,   /* its mbufs are the device's */
	SP_HELD,     /* so is its mbuf, with a reference of ours */
	SP_EXTERNAL, /* the device reads its bytes through other mbufs */
	SP_COPIED,   /* the device has a copy */
	SP_SPARED,   /* so it has, and our reference is dropped already, as others hold the packet */
	SP_LATER,    /* it does not go now: no mbufs */
	SP_REFUSED   /* it does not go: too short or too long */
};

/* A burst. What sp_queue.sent and bytes count is taken back for packets that the
 * device does not take. */
struct sp_burst {
	const uint64_t *ps;
	uint64_t bytes;
	int orders;             /* there is something for the device to do */
	int hard;               /* there is something to do when they are sent */
	uint32_t copied, held;  /* sent as copies, and held */
	uint8_t way[SP_TX_MAX]; /* of ps[i], which has become q->tx_mb[i] */
};

/* sp_hard makes the mbuf of a packet that is not plain, or NULL: not now. */
struct rte_mbuf *sp_hard(struct sp_queue *q, struct sp_burst *b, uint32_t i);

/* sp_undo takes packet i back that the device has not taken, sp_sent books one
 * that was copied or is external and that it has taken. */
void sp_undo(struct sp_queue *q, struct sp_burst *b, uint32_t i);
void sp_sent(struct sp_queue *q, struct sp_burst *b, uint32_t i);

/* The orders of pbuf.Meta as flags of an mbuf, without the IP version. */
extern uint64_t sp_tx_flags[64];

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

/* sp_hold makes the mbuf of a packet of ours that others hold too, with a reference
 * more, which is gone when the device is done. */
static inline void sp_hold(struct sp_queue *q, struct sp_burst *b, uint32_t i, struct rte_mbuf *m, const struct sp_pbuf *p)
{
	struct sp_hold *h = &q->holds[q->holds_tail++ & q->holds_mask];
	sp_segment(m, p);
	b->orders |= sp_first(m, p, 1);
	m->ol_flags |= q->kept;
	rte_mbuf_refcnt_set(m, 2);
	h->mbuf = m;
	h->pbuf = b->ps[i];
	b->way[i] = SP_HELD;
	b->held++;
}

/* sp_move copies n bytes. Most packets that are copied are of one or two hundred,
 * for which a call is the greater part. */
static inline void sp_move(uint8_t *to, const uint8_t *from, uint32_t n)
{
	uint32_t i;
	if (unlikely(n < 64 || n > 512)) {
		memcpy(to, from, n);
		return;
	}
	for (i = 0; i + 64 < n; i += 64) {
		memcpy(to + i, from + i, 64);
	}
	memcpy(to + n - 64, from + n - 64, 64); /* some of it for the second time */
}

/* sp_get_ahead is sp_get that fetches what those after this one will get. */
static inline struct rte_mbuf *sp_get_ahead(struct sp_class *c)
{
	struct rte_mbuf *m = sp_get(c);
	if (likely(c->back_n >= 2)) {
		const struct rte_mbuf *later = sp_mbuf_of(c->back[c->back_n - 2]);
		rte_prefetch0(later);
		rte_prefetch0((const uint8_t *)later + SP_MBUF + SP_PRIV + SP_HEADROOM);
	}
	return m;
}

/* sp_spare makes a copy of a packet in one buffer that others hold too, as those are
 * of TCP's that go as copies; NULL: it is longer, or there is no mbuf. */
static inline struct rte_mbuf *sp_spare(struct sp_queue *q, struct sp_burst *b, uint32_t i, struct sp_pbuf *p)
{
	struct rte_mbuf *m;
	if (unlikely(p->len > q->copy_small_room || (m = sp_get_ahead(&q->pool->class[0])) == NULL)) {
		return NULL;
	}
	m->data_off = SP_HEADROOM;
	m->data_len = (uint16_t)p->len;
	b->orders |= sp_first(m, p, 1);
	sp_move(rte_pktmbuf_mtod(m, uint8_t *), (const uint8_t *)(uintptr_t)p->payload, p->len);
	p->ref--;
	b->copied++;
	b->way[i] = SP_SPARED;
	return m;
}

/* sp_ours reports whether the element of a buffer may be the device's as it is,
 * whoever holds it: 1 more than its sort, or 0. */
static inline uint32_t sp_ours(const struct sp_queue *q, const struct sp_pbuf *p)
{
	return p->home == q->pool_id && p->at == q->pool_id ? q->direct[p->state] : 0;
}

#endif
