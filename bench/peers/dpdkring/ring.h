/* Hand-over of pointers through an rte_ring, single producer and consumer. */
#ifndef RING_H
#define RING_H

#include <stdint.h>

struct rte_ring;

/* peer_ring_new makes a ring of 2^k slots in ordinary memory, or NULL. */
struct rte_ring *peer_ring_new(unsigned slots);

/* peer_ring_produce puts n pointers into the ring, batch by batch; returns when
 * all are in. peer_ring_consume takes n out. Each runs on a thread of its own. */
void peer_ring_produce(struct rte_ring *r, uint64_t n, unsigned batch);
void peer_ring_consume(struct rte_ring *r, uint64_t n, unsigned batch);

#endif
