/* What the crossings have in common. */
#ifndef SP_INLINE_H
#define SP_INLINE_H

#include <stddef.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "sp.h"

#define SP_COUNT(field, v) \
	__atomic_store_n(&(field), (field) + (uint64_t)(v), __ATOMIC_RELAXED)

static inline struct sp_pbuf *sp_pbuf_of(const struct rte_mbuf *m)
{
	return (struct sp_pbuf *)((uintptr_t)m + SP_MBUF);
}

static inline struct rte_mbuf *sp_mbuf_of(uint64_t pbuf)
{
	return (struct rte_mbuf *)(uintptr_t)(pbuf - SP_MBUF);
}

static inline struct sp_pbuf *sp_at(uint64_t pbuf)
{
	return (struct sp_pbuf *)(uintptr_t)pbuf;
}

/* sp_alone reports whether an mbuf is a packet of its own that nobody else holds: two
 * fields in one word. */
static inline int sp_alone(const struct rte_mbuf *m)
{
	uint32_t refcnt_segs;
	memcpy(&refcnt_segs, (const uint8_t *)m + offsetof(struct rte_mbuf, refcnt), sizeof(refcnt_segs));
	return refcnt_segs == 0x00010001;
}

/* sp_direct reports whether an mbuf's bytes are its own. */
static inline int sp_direct(const struct rte_mbuf *m)
{
	return (m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0;
}

/* sp_enter marks the queue as in use; 0: it is shut. */
static inline int sp_enter(struct sp_queue *q)
{
	int open = 0;
	return __atomic_compare_exchange_n(&q->gate, &open, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void sp_leave(struct sp_queue *q)
{
	__atomic_store_n(&q->gate, 0, __ATOMIC_RELEASE);
}

/* sp_thread makes the calling thread one that DPDK knows, once. */
extern __thread int sp_known;
void sp_register(void);
static inline void sp_thread(void)
{
	if (unlikely(!sp_known)) {
		sp_register();
	}
}

/* sp_balance gives lent elements back, tops up the reserves and empties the return
 * lists of a pool, if they have got low or long: in bulk, on the way of a burst. */
void sp_return_lent(struct sp_pool *p);
void sp_level(struct sp_class *c, uint32_t have);
void sp_judge(struct sp_class *c);
static inline void sp_balance_class(struct sp_class *c)
{
	uint32_t have = c->stock_n + c->back_n, taken = c->had - have;
	if (c->mp == NULL) {
		return;
	}
	if ((int32_t)taken > (int32_t)c->peak) {
		c->peak = taken;
	}
	if (unlikely(2 * c->peak > c->want || c->rounds++ == SP_PERIOD)) {
		sp_judge(c);
	}
	c->had = have;
	if (have + SP_GRAIN <= c->want || have >= c->want + SP_LEAST) {
		sp_level(c, have);
	}
}

static inline void sp_balance(struct sp_pool *p)
{
	if (p->lent_n != 0) {
		sp_return_lent(p);
	}
	sp_balance_class(&p->class[0]);
	sp_balance_class(&p->class[SP_STANDARD]);
	sp_balance_class(&p->class[SP_HEADS]);
}

/* sp_give puts an element of ours on its class's return list. */
static inline void sp_give(struct sp_pool *p, int class, uint64_t pbuf)
{
	struct sp_class *c = &p->class[class];
	if (unlikely(c->back_n == SP_STOCK)) {
		sp_unload(p);
	}
	c->back[c->back_n++] = pbuf;
}

/* sp_get takes an element of a class, the one freed last; NULL: there is none. */
int sp_refill(struct sp_class *c);
static inline struct rte_mbuf *sp_get(struct sp_class *c)
{
	if (likely(c->back_n != 0)) {
		return sp_mbuf_of(c->back[--c->back_n]);
	}
	if (unlikely(c->stock_n == 0) && !sp_refill(c)) {
		return NULL;
	}
	return sp_mbuf_of(c->stock[--c->stock_n]);
}

/* sp_reclaim takes back held packets that the device is done with. */
void sp_reclaim(struct sp_queue *q, int64_t now, uint32_t most);

#endif
