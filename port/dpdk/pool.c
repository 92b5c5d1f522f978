//go:build dpdk

#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#include <rte_lcore.h>

#include "inline.h"

__thread int sp_known;

static pthread_key_t sp_key;
static pthread_once_t sp_key_once = PTHREAD_ONCE_INIT;

/* sp_forget ends a thread's registration with the thread. */
static void sp_forget(void *arg)
{
	(void)arg;
	rte_thread_unregister();
}

static void sp_make_key(void)
{
	(void)pthread_key_create(&sp_key, sp_forget);
}

/* A thread that can't be registered, because there are too many, works all the
 * same, without caches of mempools. */
void sp_register(void)
{
	sp_known = 1;
	if (rte_lcore_id() != LCORE_ID_ANY) {
		return;
	}
	pthread_once(&sp_key_once, sp_make_key);
	if (rte_thread_register() == 0) {
		(void)pthread_setspecific(sp_key, &sp_known);
	}
}

/* sp_put gives n elements of a list to a mempool. */
static void sp_put(struct rte_mempool *mp, uint64_t *pbufs, uint32_t n)
{
	uint32_t i;
	for (i = 0; i < n; i++) {
		pbufs[i] -= SP_MBUF;
	}
	rte_mempool_put_bulk(mp, (void *const *)(uintptr_t)pbufs, n);
}

/* sp_empty gives the last n of a class's return list to the mempool, from which a
 * device takes those first that came last. */
static void sp_empty(struct sp_class *c, uint32_t n)
{
	if (n != 0) {
		c->back_n -= n;
		sp_put(c->mp, c->back + c->back_n, n);
	}
}

/* sp_fill gets n elements into the reserve, or as many of them as there are. */
static void sp_fill(struct sp_class *c, uint32_t n)
{
	uint64_t *to = c->stock + c->stock_n;
	uint32_t i;
	for (n = RTE_MIN(n, SP_STOCK - c->stock_n); n != 0; n /= 2) {
		if (rte_mempool_get_bulk(c->mp, (void **)(uintptr_t)to, n) == 0) {
			for (i = 0; i < n; i++) {
				to[i] += SP_MBUF;
			}
			c->stock_n += n;
			return;
		}
	}
}

/* sp_refill fills an empty reserve for who takes an element now; 0: there are
 * none. */
int sp_refill(struct sp_class *c)
{
	sp_fill(c, SP_LEAST);
	c->had += c->stock_n; /* what was there before has been taken */
	return c->stock_n != 0;
}

/* sp_judge sets how many elements of a class are to be at hand. */
void sp_judge(struct sp_class *c)
{
	c->want = RTE_MIN(RTE_MAX(2 * c->peak, (uint32_t)SP_LEAST), (uint32_t)SP_STOCK);
	if (c->rounds > SP_PERIOD) {
		c->rounds = 0;
		c->peak = 0;
	} else {
		c->peak = RTE_MIN(c->peak, c->want / 2);
	}
}

/* sp_level brings a class to what it is to have at hand. */
void sp_level(struct sp_class *c, uint32_t have)
{
	if (have < c->want) {
		sp_fill(c, (c->want - have) / SP_GRAIN * SP_GRAIN);
	} else {
		sp_empty(c, RTE_MIN(c->back_n, have - c->want));
	}
	c->had = c->stock_n + c->back_n;
}

/* sp_unalias drops the reference that a header of ours has to the packet that it is
 * for, and takes the header back. */
static inline void sp_unalias(struct sp_class *c, struct rte_mbuf *h)
{
	struct rte_mbuf *m = (struct rte_mbuf *)((uintptr_t)h->buf_addr - SP_MBUF - SP_PRIV);
	/* The other one is the sender's, who only waits for this, so that no locked
	 * instruction is needed. What was read was read before. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	rte_mbuf_refcnt_set(m, 1);
	if (unlikely(c->back_n == SP_STOCK)) {
		sp_empty(c, SP_STOCK / 2);
	}
	c->back[c->back_n++] = (uint64_t)(uintptr_t)sp_pbuf_of(h);
}

static pthread_mutex_t sp_orphans_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rte_mbuf *sp_orphaned; /* linked by next */

/* sp_settle_orphans gives those of at most n orphans to their mempools that nobody reads. */
static void sp_settle_orphans(uint32_t n)
{
	struct rte_mbuf **at = &sp_orphaned, *m;
	while ((m = *at) != NULL && n-- != 0) {
		if (rte_mbuf_refcnt_read(m) != 1) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		m->next = NULL;
		rte_mempool_put(m->pool, m);
	}
}

/* sp_orphan keeps an mbuf that its sender has freed and others read. */
static void sp_orphan(struct rte_mbuf *m)
{
	pthread_mutex_lock(&sp_orphans_lock);
	sp_settle_orphans(SP_GRAIN);
	m->next = sp_orphaned;
	sp_orphaned = m;
	pthread_mutex_unlock(&sp_orphans_lock);
}

void sp_orphans(void)
{
	pthread_mutex_lock(&sp_orphans_lock);
	sp_settle_orphans(UINT32_MAX);
	pthread_mutex_unlock(&sp_orphans_lock);
}

/* sp_return_lent gives lent elements to their mempools: runs of one mempool's at
 * once. They are whole, single and have no other holder, as an mbuf in a mempool
 * must be, but for those whose bytes are elsewhere, and those that the other end of a
 * pair still reads (sp_let_go). */
void sp_return_lent(struct sp_pool *p)
{
	struct sp_class *heads = &p->class[SP_HEADS];
	uint32_t i = 0, from;
	while (i < p->lent_n) {
		struct rte_mbuf *m = sp_mbuf_of(p->lent[i]);
		struct rte_mempool *mp = m->pool;
		if (mp == heads->mp && (m->ol_flags & RTE_MBUF_F_INDIRECT) != 0) {
			sp_unalias(heads, m);
			i++;
			continue;
		}
		for (from = i; sp_direct(m) && rte_mbuf_refcnt_read(m) == 1 && m->pool == mp;) {
			if (++i == p->lent_n) {
				break;
			}
			m = sp_mbuf_of(p->lent[i]);
		}
		if (i != from) {
			sp_put(mp, p->lent + from, i - from);
			continue;
		}
		if (sp_direct(m)) {
			sp_orphan(m);
		} else {
			rte_pktmbuf_free_seg(m);
		}
		i++;
	}
	p->lent_n = 0;
}

void sp_stock(struct sp_pool *p, int class)
{
	struct sp_class *c = &p->class[class];
	sp_thread();
	p->misses++;
	sp_fill(c, SP_STOCK / 2);
	c->had += c->stock_n; /* what was there before has been taken */
}

void sp_unload(struct sp_pool *p)
{
	int i;
	p->misses++;
	sp_return_lent(p);
	for (i = 0; i < SP_SORTS; i++) {
		struct sp_class *c = &p->class[i];
		if (c->mp != NULL) {
			sp_empty(c, c->back_n);
			c->had = c->stock_n;
		}
	}
}

void sp_unstock(struct sp_pool *p)
{
	int i;
	sp_unload(p);
	for (i = 0; i < SP_SORTS; i++) {
		struct sp_class *c = &p->class[i];
		if (c->mp != NULL && c->stock_n != 0) {
			sp_put(c->mp, c->stock, c->stock_n);
			c->stock_n = 0;
		}
	}
}

int sp_shut(struct sp_queue *q)
{
	struct timespec ms = {0, 1000000};
	int i, open = 0;
	for (i = 0; i < 1000; i++) {
		open = 0;
		if (__atomic_compare_exchange_n(&q->gate, &open, 2, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED) || open == 2) {
			return 0;
		}
		if (i < 100) {
			sched_yield();
		} else {
			(void)nanosleep(&ms, NULL);
		}
	}
	return -1;
}

void sp_open(struct sp_queue *q)
{
	__atomic_store_n(&q->gate, 0, __ATOMIC_RELEASE);
}
