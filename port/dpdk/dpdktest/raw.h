/* What a program in C does with DPDK. */
#ifndef RAW_H
#define RAW_H

#include <stdint.h>

struct rte_mempool;

enum {
	RAW_BURST = 32,
	RAW_SEEN = 64 /* packets that are kept of those sent */
};

/* raw_open makes a device and starts it with queues of 1024 that receive in mp;
 * the port, or a negative errno. */
int raw_open(const char *devargs, uint16_t queues, struct rte_mempool *mp);
int raw_close(uint16_t port);
struct rte_mempool *raw_mempool(const char *name, uint32_t n, uint16_t private_size);
uint32_t raw_missing(const struct rte_mempool *mp);

/* Loops over n packets in bursts of RAW_BURST; they return how many it were. */
uint64_t raw_receive(uint16_t port, uint64_t n);
uint64_t raw_send(uint16_t port, struct rte_mempool *mp, uint64_t n, uint16_t len);
uint64_t raw_forward(uint16_t port, uint64_t n);
uint64_t raw_wire(uint16_t from, uint16_t to, struct rte_mempool *mp, uint64_t n, uint16_t len);

/* raw_send_bytes sends a frame as an mbuf of some kind. */
enum raw_kind { RAW_PLAIN, RAW_INDIRECT, RAW_EXTERNAL, RAW_EXTERNAL_TAIL };
int raw_send_bytes(uint16_t port, struct rte_mempool *mp, int kind, const uint8_t *b, uint16_t len);
uint64_t raw_external_freed(void);

/* What a device was given: raw_watch has its sent packets looked at. */
struct raw_sent {
	uint64_t ol_flags;
	uint32_t pkt_len;
	uint16_t l2_len, l3_len, l4_len, tso_segsz, vlan_tci, segs;
};
int raw_watch(uint16_t port);
uint32_t raw_seen(struct raw_sent *to);

/* raw_dress has all packets that queue 0 of a device receives from now on look like
 * this one. */
struct raw_dress {
	uint64_t ol_flags;
	uint32_t packet_type, rss;
	uint16_t vlan_tci, tso_segsz, len;
	uint8_t bytes[256];
};
int raw_dress(uint16_t port, const struct raw_dress *d);

/* raw_let ends raw_watch and raw_dress: the next device gets the port's number. */
void raw_let(uint16_t port);

#endif
