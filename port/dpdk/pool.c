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

/* sp_empty gives the first n of a class's return list to the mempool: those that
 * have been there longest. */
static void sp_empty(struct sp_class *c, uint32_t n)
{
	if (n == 0) {
		return;
	}
	rte_mempool_put_bulk(c->mp, (void *const *)(uintptr_t)c->back, n);
	c->back_n -= n;
	memmove(c->back, c->back + n, c->back_n * sizeof(c->back[0]));
}

/* sp_fill gets elements into the reserve, all that fit or none. */
static void sp_fill(struct sp_class *c)
{
	uint32_t n = RTE_MIN((uint32_t)SP_REFILL, SP_STOCK - c->stock_n);
	for (; n != 0; n /= 2) {
		if (rte_mempool_get_bulk(c->mp, (void **)(uintptr_t)(c->stock + c->stock_n), n) == 0) {
			c->stock_n += n;
			return;
		}
	}
}

static void sp_return_lent(struct sp_pool *p)
{
	if (p->lent_n != 0) {
		rte_pktmbuf_free_bulk((struct rte_mbuf **)(uintptr_t)p->lent, p->lent_n);
		p->lent_n = 0;
	}
}

void sp_balance_slow(struct sp_pool *p)
{
	int i;
	sp_return_lent(p);
	for (i = 0; i < SP_CLASSES; i++) {
		struct sp_class *c = &p->class[i];
		if (c->mp == NULL) {
			continue;
		}
		if (c->back_n >= SP_REFILL) {
			sp_empty(c, SP_REFILL / 2);
		} else if (c->stock_n + c->back_n < SP_REFILL / 2) {
			sp_fill(c);
		}
	}
}

void sp_stock(struct sp_pool *p, int class)
{
	sp_thread();
	p->misses++;
	sp_fill(&p->class[class]);
}

void sp_unload(struct sp_pool *p)
{
	int i;
	p->misses++;
	sp_return_lent(p);
	for (i = 0; i < SP_CLASSES; i++) {
		if (p->class[i].mp != NULL) {
			sp_empty(&p->class[i], p->class[i].back_n);
		}
	}
}

void sp_unstock(struct sp_pool *p)
{
	int i;
	sp_unload(p);
	for (i = 0; i < SP_CLASSES; i++) {
		struct sp_class *c = &p->class[i];
		if (c->mp != NULL && c->stock_n != 0) {
			rte_mempool_put_bulk(c->mp, (void *const *)(uintptr_t)c->stock, c->stock_n);
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
