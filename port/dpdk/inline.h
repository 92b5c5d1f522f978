/* What the crossings have in common. */
#ifndef SP_INLINE_H
#define SP_INLINE_H

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

/* sp_balance tops up the reserves and empties the return lists of a pool, if
 * they have got low or long: in bulk, on the way of a burst. */
void sp_balance_slow(struct sp_pool *p);
static inline void sp_balance(struct sp_pool *p)
{
	if (unlikely(p->lent_n != 0 || p->class[0].back_n >= SP_REFILL || p->class[1].back_n >= SP_REFILL ||
		(p->class[0].mp != NULL && p->class[0].stock_n + p->class[0].back_n < SP_REFILL) ||
		(p->class[1].mp != NULL && p->class[1].stock_n + p->class[1].back_n < SP_REFILL))) {
		sp_balance_slow(p);
	}
}

/* sp_give puts an element of ours on its class's return list. */
static inline void sp_give(struct sp_pool *p, int class, struct rte_mbuf *m)
{
	struct sp_class *c = &p->class[class];
	if (unlikely(c->back_n == SP_STOCK)) {
		sp_unload(p);
	}
	c->back[c->back_n++] = (uint64_t)(uintptr_t)m;
}

/* sp_reclaim takes back held packets that the device is done with. */
void sp_reclaim(struct sp_queue *q, int64_t now, uint32_t most);

#endif
