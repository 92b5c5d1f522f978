//go:build dpdk

#include <string.h>
#include <sys/epoll.h>

#include <rte_interrupts.h>
#include <rte_net.h>
#include <rte_prefetch.h>
#include <rte_version.h>

#include "inline.h"

/* What the mbuf's flags in bits 1 to 8 are as flags of a pbuf. */
static uint32_t sp_rx_flags[256];

static uint32_t sp_rx_flags_of(uint64_t ol)
{
	uint32_t f = 0;
	if (ol & RTE_MBUF_F_RX_RSS_HASH) {
		f |= SP_RX_HASH;
	}
	if (ol & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		f |= SP_RX_VLAN;
	}
	switch (ol & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
	case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
	case RTE_MBUF_F_RX_IP_CKSUM_NONE: /* not right in the packet, but vouched for */
		f |= SP_RX_IP_GOOD;
		break;
	case RTE_MBUF_F_RX_IP_CKSUM_BAD:
		f |= SP_RX_IP_BAD;
	}
	switch (ol & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
		f |= SP_RX_L4_GOOD;
		break;
	case RTE_MBUF_F_RX_L4_CKSUM_NONE:
		f |= SP_RX_L4_GOOD | SP_RX_L4_PARTIAL;
		break;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD:
		f |= SP_RX_L4_BAD;
	}
	return f;
}

__attribute__((constructor)) static void sp_rx_init(void)
{
	uint64_t i;
	for (i = 0; i < 256; i++) {
		sp_rx_flags[i] = sp_rx_flags_of(i << 1);
	}
}

/* sp_lro says what a joined packet is, which no field of the mbuf does. */
static void sp_lro(const struct rte_mbuf *m, struct sp_pbuf *p)
{
	struct rte_net_hdr_lens h;
	memset(&h, 0, sizeof(h));
	(void)rte_net_get_ptype(m, &h, RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);
	p->flags |= SP_RX_LRO;
	p->seg_size = m->tso_segsz;
	p->l2_len = h.l2_len;
	p->l3_len = h.l3_len;
	p->l4_len = h.l4_len;
}

/* sp_foreign is the tag of an element that is lent. */
static inline uint64_t sp_foreign(const struct sp_queue *q, const struct rte_mbuf *m)
{
	if (unlikely(m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL))) {
		return q->alias_tag;
	}
	return q->lent_tag | (uint64_t)((m->buf_len - SP_HEADROOM) >> 6) << 48;
}

/* sp_fill writes the hot line of a segment. */
static inline void sp_fill(struct sp_pbuf *p, const struct rte_mbuf *m, uint64_t tag)
{
	p->next = 0;
	p->payload = (uint64_t)(uintptr_t)m->buf_addr + m->data_off;
	p->tot_len = m->data_len;
	p->len = m->data_len;
	memcpy(&p->ref, &tag, sizeof(tag));
	p->hash = 0;
	p->flags = 0;
	memset(&p->seg_size, 0, 8);
	p->time = 0;
	p->qnext = 0;
}

/* sp_head makes the pbuf of a segment in its own mbuf. */
static inline struct sp_pbuf *sp_head(const struct rte_mbuf *m, uint64_t tag)
{
	struct sp_pbuf *p = sp_pbuf_of(m);
	sp_fill(p, m, tag);
	return p;
}

/* sp_any is sp_head for elements of whatever mempool. Ours get the pool's own tag;
 * others are lent. */
static struct sp_pbuf *sp_any(struct sp_queue *q, struct rte_mbuf *m)
{
	if (m->pool == q->own && sp_direct(m)) {
		q->rx_own++;
		return sp_head(m, q->own_tag);
	}
	q->rx_lent++;
	return sp_head(m, sp_foreign(q, m));
}

/* sp_rest links the segments behind the first, and cuts the mbufs' own links:
 * each goes back to its mempool by itself. */
static void sp_rest(struct sp_queue *q, struct rte_mbuf *m, struct sp_pbuf *p)
{
	struct rte_mbuf *next = m->next;
	uint32_t left = m->pkt_len;
	p->tot_len = left;
	m->next = NULL;
	m->nb_segs = 1;
	while (next != NULL) {
		struct sp_pbuf *s;
		left -= p->len;
		m = next;
		next = m->next;
		m->next = NULL;
		m->nb_segs = 1;
		s = sp_any(q, m);
		s->tot_len = left;
		p->next = (uint64_t)(uintptr_t)s;
		p = s;
	}
}

/* sp_fits reports whether all segments have room for a pbuf of ours, which
 * nobody else looks at. */
static int sp_fits(const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		if (rte_mbuf_refcnt_read(m) != 1 || rte_pktmbuf_priv_size(m->pool) < SP_PRIV || m->buf_len < SP_HEADROOM) {
			return 0;
		}
	}
	return 1;
}

/* sp_roomy reports whether an mbuf has its bytes and the room for a pbuf of ours in
 * itself, as its first line tells. */
static inline int sp_roomy(const struct rte_mbuf *m)
{
	return sp_direct(m) && (uintptr_t)m->buf_addr - (uintptr_t)m == SP_MBUF + SP_PRIV && m->buf_len >= SP_HEADROOM;
}

/* sp_alias makes a header for the bytes of a packet that its sender keeps, as
 * rte_pktmbuf_attach does, which takes over the reference that came; NULL: there is
 * no header. The packet is one of a pair's mempools: whole, and with its bytes in it. */
static inline struct sp_pbuf *sp_alias(struct sp_queue *q, const struct rte_mbuf *m)
{
	struct sp_class *c = &q->pool->class[SP_HEADS];
	struct rte_mbuf *h;
	struct sp_pbuf *p;
	if (unlikely((h = sp_get(c)) == NULL)) {
		return NULL; /* it is copied */
	}
	h->buf_addr = m->buf_addr;
#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0)
	h->buf_iova = m->buf_iova;
#else
	rte_mbuf_iova_set(h, rte_mbuf_iova_get(m));
#endif
	h->buf_len = m->buf_len;
	h->ol_flags = RTE_MBUF_F_INDIRECT;
	p = sp_pbuf_of(h);
	sp_fill(p, m, q->alias_tag);
	return p;
}

/* sp_slow is sp_head for what is neither ours nor alone. It may change the mbuf;
 * NULL: the packet had to be copied and could not. */
static struct sp_pbuf *sp_slow(struct sp_queue *q, struct rte_mbuf **mp)
{
	struct rte_mbuf *m = *mp;
	if (!sp_fits(m)) {
		struct rte_mbuf *c = rte_pktmbuf_copy(m, q->rx, 0, UINT32_MAX);
		rte_pktmbuf_free(m);
		if (c == NULL) {
			SP_COUNT(q->n.rx_missed, 1);
			return NULL;
		}
		SP_COUNT(q->n.rx_copied, 1);
		*mp = m = c;
	}
	return sp_any(q, m);
}

/* sp_adopt makes a packet of an mbuf; NULL: it had to be copied and could not. */
static inline struct sp_pbuf *sp_adopt(struct sp_queue *q, struct rte_mbuf *m)
{
	struct sp_pbuf *p;
	uint32_t f, l4;
	if (likely(m->pool == q->own && sp_alone(m) && sp_direct(m))) {
		q->rx_own++;
		p = sp_head(m, q->own_tag);
	} else if (likely(sp_alone(m) && sp_roomy(m))) {
		q->rx_lent++;
		p = sp_head(m, sp_foreign(q, m));
	} else if ((m->ol_flags & q->kept) != 0 && !sp_alone(m) && (p = sp_alias(q, m)) != NULL) {
		q->rx_lent++;
	} else if ((p = sp_slow(q, &m)) == NULL) {
		return NULL;
	}
	f = sp_rx_flags[(m->ol_flags >> 1) & 0xff];
	l4 = (m->packet_type & RTE_PTYPE_L4_MASK) >> 8;
	if (likely(q->hash_l4 >> l4 & 1)) {
		p->hash = m->hash.rss;
	} else {
		f &= ~(uint32_t)SP_RX_HASH;
	}
	p->flags = f;
	if (unlikely(f & SP_RX_VLAN)) {
		p->vlan = m->vlan_tci;
	}
	if (unlikely(m->ol_flags & q->time_flag)) {
		p->time = (int64_t)(*RTE_MBUF_DYNFIELD(m, q->time_at, uint64_t *) * q->time_unit);
		p->flags |= SP_RX_TIME;
	}
	if (unlikely(m->ol_flags & RTE_MBUF_F_RX_LRO)) {
		sp_lro(m, p);
	}
	if (unlikely(m->nb_segs != 1)) {
		sp_rest(q, m, p);
	}
	return p;
}

/* sp_take gets mbufs from the stash, or else from the device. */
static inline uint32_t sp_take(struct sp_queue *q, uint32_t want)
{
	uint32_t n;
	if (likely(q->stash_at == q->stash_n)) {
		return rte_eth_rx_burst(q->port, q->queue, q->rx_mb, (uint16_t)want);
	}
	n = RTE_MIN(want, q->stash_n - q->stash_at);
	memcpy(q->rx_mb, q->stash + q->stash_at, n * sizeof(q->stash[0]));
	q->stash_at += n;
	return n;
}

/* sp_awake takes back sp_arm. */
static void sp_awake(struct sp_queue *q)
{
	struct rte_epoll_event ev[1];
	q->armed = 0;
	(void)rte_eth_dev_rx_intr_disable(q->port, q->queue);
	(void)rte_epoll_wait(q->epfd, ev, 1, 0);
}

uint32_t sp_rx(uintptr_t queue, uint64_t *dst, uint32_t want, int64_t now)
{
	struct sp_queue *q = (struct sp_queue *)queue;
	uint32_t i, n, done = 0;
	uint64_t bytes = 0;
	sp_thread();
	q->rx_own = q->rx_lent = q->books = 0;
	if (unlikely(!sp_enter(q))) {
		return 0;
	}
	if (unlikely(q->armed)) {
		sp_awake(q);
	}
	sp_balance(q->pool);
	if (q->holds_head != q->holds_tail) {
		memset(q->sent, 0, sizeof(q->sent));
		q->released_n = 0;
		q->books = 1;
		sp_reclaim(q, now, SP_TX_MAX);
	}
	n = sp_take(q, RTE_MIN(want, (uint32_t)SP_RX_MAX));
	for (i = 0; i < n && i < SP_AHEAD; i++) {
		rte_prefetch0(sp_pbuf_of(q->rx_mb[i]));
	}
	for (i = 0; i < n; i++) {
		struct sp_pbuf *p;
		if (likely(i + SP_AHEAD < n)) {
			rte_prefetch0(q->rx_mb[i + SP_AHEAD]);
			rte_prefetch0(sp_pbuf_of(q->rx_mb[i + SP_AHEAD]));
		}
		/* Headers are rarely in one line: a frame begins at its end where the
		 * sender has put the payload at the beginning of one. */
		rte_prefetch0(rte_pktmbuf_mtod(q->rx_mb[i], void *));
		rte_prefetch0(rte_pktmbuf_mtod_offset(q->rx_mb[i], void *, RTE_CACHE_LINE_SIZE));
		p = sp_adopt(q, q->rx_mb[i]);
		if (likely(p != NULL)) {
			bytes += p->tot_len;
			dst[done++] = (uint64_t)(uintptr_t)p;
		}
	}
	if (done != 0) {
		SP_COUNT(q->n.rx_packets, done);
		SP_COUNT(q->n.rx_bytes, bytes);
	}
	sp_leave(q);
	return done;
}

void sp_drop_stash(struct sp_queue *q)
{
	if (q->stash_at != q->stash_n) {
		rte_pktmbuf_free_bulk(q->stash + q->stash_at, q->stash_n - q->stash_at);
	}
	q->stash_at = q->stash_n = 0;
}

int sp_arm(uintptr_t queue)
{
	struct sp_queue *q = (struct sp_queue *)queue;
	int quiet = 1;
	if (!sp_enter(q)) {
		return 1; /* stopped: there will be no frames */
	}
	if (q->stash_at != q->stash_n) {
		sp_leave(q);
		return 0;
	}
	if (rte_eth_dev_rx_intr_enable(q->port, q->queue) == 0) {
		q->armed = 1;
	}
	/* A frame that came just before raises no interrupt. */
	q->stash_at = 0;
	q->stash_n = rte_eth_rx_burst(q->port, q->queue, q->stash, RTE_DIM(q->stash));
	if (q->stash_n != 0) {
		quiet = 0;
		if (q->armed) {
			sp_awake(q);
		}
	}
	sp_leave(q);
	return quiet;
}
