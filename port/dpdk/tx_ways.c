//go:build dpdk

#include <string.h>

#include <rte_memory.h>
#include <rte_prefetch.h>

#include "tx.h"

_Static_assert(sizeof(struct rte_mbuf_ext_shared_info) <= sizeof(((struct sp_hold *)0)->info), "room for the counter");

/* sp_chain links the mbufs of a packet in several buffers if all of them may go
 * as they are; NULL: not. */
static struct rte_mbuf *sp_chain(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	struct sp_pbuf *head = sp_at(b->ps[i]), *p = head;
	struct rte_mbuf *first = sp_mbuf_of((uint64_t)(uintptr_t)p), *m = first;
	uint16_t segs = 0;
	for (; p != NULL; p = sp_at(p->next)) {
		if (p->ref != 1 || !sp_ours(q, p) || segs++ == RTE_MBUF_MAX_NB_SEGS - 1) {
			return NULL;
		}
	}
	for (p = head; p != NULL; p = sp_at(p->next)) {
		struct rte_mbuf *s = sp_mbuf_of((uint64_t)(uintptr_t)p);
		sp_segment(s, p);
		if (p != head) {
			s->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
			m->next = s;
		}
		m = s;
		m->next = NULL;
		p->ref = 0;
		q->sent[sp_ours(q, p) - 1]++;
	}
	b->orders |= sp_first(first, head, segs);
	b->way[i] = SP_DIRECT;
	return first;
}

/* sp_copy_parts makes a copy in as many mbufs as it needs; NULL: no mbufs. */
static struct rte_mbuf *sp_copy_parts(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	const struct sp_pbuf *p = sp_at(b->ps[i]);
	struct rte_mbuf *first, *m;
	uint32_t off = 0;
	uint16_t segs = 1;
	if ((first = rte_pktmbuf_alloc(q->copy)) == NULL) {
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
	b->orders |= sp_first(first, sp_at(b->ps[i]), segs);
	b->hard = 1;
	b->way[i] = SP_COPIED;
	return first;
}

/* sp_copy makes a copy of a packet; NULL: no mbufs. In the one mbuf that most fit
 * in, only the line that a driver reads is written: the other one, and all links,
 * are as they must be while it lies in the mempool. */
static struct rte_mbuf *sp_copy(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	const struct sp_pbuf *p = sp_at(b->ps[i]);
	int small = p->tot_len <= q->copy_small_room;
	struct rte_mbuf *m;
	if (!small && p->tot_len > q->copy_room) {
		return sp_copy_parts(q, b, i);
	}
	if (small || q->own != NULL) {
		m = sp_get_ahead(&q->pool->class[small ? 0 : SP_STANDARD]);
	} else {
		m = rte_mbuf_raw_alloc(q->copy);
	}
	if (m == NULL) {
		return NULL;
	}
	m->data_off = SP_HEADROOM;
	m->data_len = (uint16_t)p->tot_len;
	b->orders |= sp_first(m, p, 1);
	b->hard = 1;
	b->way[i] = SP_COPIED;
	for (uint8_t *to = rte_pktmbuf_mtod(m, uint8_t *); p != NULL; p = sp_at(p->next)) {
		sp_move(to, (const uint8_t *)(uintptr_t)p->payload, p->len);
		to += p->len;
	}
	return m;
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
static struct rte_mbuf *sp_external(struct sp_queue *q, struct sp_burst *b, uint32_t i, struct sp_hold *h)
{
	struct rte_mbuf_ext_shared_info *info = (struct rte_mbuf_ext_shared_info *)(void *)h->info;
	const struct sp_pbuf *p;
	struct rte_mbuf *first = NULL, *last = NULL;
	uint32_t off, segs = 0;
	info->free_cb = sp_done_cb;
	info->fcb_opaque = NULL;
	rte_mbuf_ext_refcnt_set(info, 0);
	for (p = sp_at(b->ps[i]); p != NULL; p = sp_at(p->next)) {
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
	b->orders |= sp_first(first, sp_at(b->ps[i]), (uint16_t)segs);
	h->mbuf = NULL;
	h->pbuf = b->ps[i];
	q->holds_tail++;
	b->hard = 1;
	b->way[i] = SP_EXTERNAL;
	return first;
}

struct rte_mbuf *sp_hard(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	struct sp_pbuf *p = sp_at(b->ps[i]);
	struct sp_hold *h;
	struct rte_mbuf *m;
	b->way[i] = SP_LATER;
	if (p->flags & q->copied) {
		return sp_copy(q, b, i);
	}
	if (p->next != 0 && p->ref == 1 && (m = sp_chain(q, b, i)) != NULL) {
		return m;
	}
	if (q->shared != SP_SHARED_HOLD) {
		return sp_copy(q, b, i);
	}
	if (q->holds_tail - q->holds_head > q->holds_mask) {
		return NULL; /* too much is under way */
	}
	h = &q->holds[q->holds_tail & q->holds_mask];
	if (p->next == 0 && p->ref > 1 && (p->state & SP_STATE_SHARED) == 0 && sp_ours(q, p)) {
		m = sp_mbuf_of((uint64_t)(uintptr_t)p);
		if (likely(rte_mbuf_refcnt_read(m) == 1)) {
			sp_hold(q, b, i, m, p);
			return m;
		}
		/* It is still under way from the last time: its mbuf is not to be touched. */
		return sp_copy(q, b, i);
	}
	if ((m = sp_external(q, b, i, h)) != NULL) {
		return m;
	}
	return sp_copy(q, b, i);
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
		sp_give(q->pool, p->state, (uint64_t)(uintptr_t)p);
		return;
	}
	q->released[q->released_n++] = (uint64_t)(uintptr_t)p;
}

/* sp_reclaim_passed is sp_reclaim for a pair, whose other end lets go in any order. */
static void sp_reclaim_passed(struct sp_queue *q, uint32_t most)
{
	uint32_t n = q->holds_tail - q->holds_head;
	uint32_t look = n > SP_HOLDS_MANY || q->holds_wait >= SP_HOLDS_OLD ? SP_HOLDS_LOOK : 0;
	int first = 1;
	for (n = RTE_MIN(n, most); n != 0; n--) {
		struct sp_hold *h = &q->holds[q->holds_head & q->holds_mask];
		const struct sp_hold *later = &q->holds[(q->holds_head + SP_AHEAD) & q->holds_mask];
		rte_prefetch0(later->mbuf); /* whatever it is */
		if (rte_mbuf_refcnt_read(h->mbuf) != 1) {
			q->holds_wait += first;
			first = 0;
			if (look-- == 0) {
				return;
			}
			q->holds[q->holds_tail++ & q->holds_mask] = *h;
			q->holds_head++;
			continue;
		}
		/* What the other end has read it has read before this. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (first) {
			q->holds_wait = first = 0;
		}
		q->holds_head++;
		sp_release(q, sp_at(h->pbuf));
	}
}

void sp_reclaim(struct sp_queue *q, int64_t now, uint32_t most)
{
	if (q->shared == SP_SHARED_PASS) {
		sp_reclaim_passed(q, most);
		return;
	}
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

void sp_undo(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	struct sp_pbuf *p = sp_at(b->ps[i]);
	struct rte_mbuf *m = q->tx_mb[i];
	b->bytes -= p->tot_len;
	switch (b->way[i]) {
	case SP_DIRECT:
		for (; p != NULL; p = sp_at(p->next)) {
			p->ref = 1;
			q->sent[sp_ours(q, p) - 1]--;
			m = sp_mbuf_of((uint64_t)(uintptr_t)p);
			m->next = NULL;
			m->nb_segs = 1;
		}
		break;
	case SP_HELD:
		q->holds_tail--;
		b->held--;
		rte_mbuf_refcnt_set(m, 1);
		break;
	case SP_SPARED:
		p->ref++;
		b->copied--;
		rte_pktmbuf_free(m);
		break;
	case SP_EXTERNAL:
		q->holds_tail--; /* fall through */
	case SP_COPIED:
		rte_pktmbuf_free(m);
	}
}

void sp_sent(struct sp_queue *q, struct sp_burst *b, uint32_t i)
{
	switch (b->way[i]) {
	case SP_EXTERNAL:
		SP_COUNT(q->n.tx_external, 1);
		break;
	case SP_COPIED:
		b->copied++;
		sp_release(q, sp_at(b->ps[i]));
	}
}

uint32_t sp_reclaim_all(struct sp_queue *q)
{
	memset(q->sent, 0, sizeof(q->sent));
	q->released_n = 0;
	sp_reclaim(q, q->cleaned, SP_TX_MAX);
	return q->holds_tail - q->holds_head;
}

uint32_t sp_let_go(struct sp_queue *q)
{
	uint32_t n = SP_TX_MAX;
	memset(q->sent, 0, sizeof(q->sent));
	q->released_n = q->rx_lent = 0;
	for (; q->holds_head != q->holds_tail && n != 0; n--) {
		struct sp_hold *h = &q->holds[q->holds_head++ & q->holds_mask];
		struct sp_pbuf *p = sp_at(h->pbuf);
		/* A lent one goes home by way of its mbuf's references. */
		if ((p->state & SP_STATE_LENT) == 0) {
			q->sent[p->state & SP_STATE_CLASS]++;
			q->rx_lent++;
			p->state |= SP_STATE_LENT;
		}
		if (p->ref > 1) {
			p->ref--;
		} else {
			q->released[q->released_n++] = h->pbuf;
		}
	}
	return q->holds_tail - q->holds_head;
}
