//go:build dpdk

#include "ring.h"

#include <stdlib.h>

#include <rte_pause.h>
#include <rte_ring.h>

enum { MAX_BATCH = 512 };

struct rte_ring *peer_ring_new(unsigned slots)
{
	ssize_t size = rte_ring_get_memsize(slots);
	struct rte_ring *r;
	if (size < 0) {
		return NULL;
	}
	size = (size + RTE_CACHE_LINE_SIZE - 1) / RTE_CACHE_LINE_SIZE * RTE_CACHE_LINE_SIZE;
	r = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)size);
	if (r != NULL && rte_ring_init(r, "peer", slots, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

void peer_ring_produce(struct rte_ring *r, uint64_t n, unsigned batch)
{
	void *objs[MAX_BATCH];
	unsigned i;
	for (i = 0; i < MAX_BATCH; i++) {
		objs[i] = &objs[i];
	}
	while (n >= batch) {
		if (rte_ring_sp_enqueue_bulk(r, objs, batch, NULL) == 0) {
			rte_pause();
			continue;
		}
		n -= batch;
	}
}

void peer_ring_consume(struct rte_ring *r, uint64_t n, unsigned batch)
{
	void *objs[MAX_BATCH];
	while (n >= batch) {
		if (rte_ring_sc_dequeue_bulk(r, objs, batch, NULL) == 0) {
			rte_pause();
			continue;
		}
		n -= batch;
	}
}
