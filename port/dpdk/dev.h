/* What starts and stops devices, and asks them. */
#ifndef SP_DEV_H
#define SP_DEV_H

#include "sp.h"

struct rte_ring;

/* sp_eal_init runs rte_eal_init on a thread of its own, which ends with it, so
 * that the caller's affinity stays; the number it returns, or -rte_errno. */
int sp_eal_init(int argc, char **argv);
int sp_eal_cleanup(void);

/* What is asked of a device and what it is. */
struct sp_device {
	uint16_t port;
	uint16_t queues;
	uint16_t mtu;
	uint16_t rx_desc, tx_desc; /* asked for; 0 = default; then what it has */
	uint8_t key[64];
	uint8_t key_len;     /* of the device; 0: no RSS */
	uint16_t reta_size;
	uint8_t offloads;    /* 0: none at all */
	uint8_t lro;         /* joining is asked for, then whether it is done */
	uint8_t vlan_strip;  /* the same of tags */
	uint8_t fast_free;
	uint8_t want_intr;   /* interrupts */
	uint8_t intr;        /* there are some */
	uint8_t physical;    /* a device on a bus, which reads by DMA */
	uint8_t promiscuous;
	uint64_t rss_hf;     /* asked for, then what is hashed */
	uint64_t rx_offloads, tx_offloads; /* on */
	uint32_t max_rx_frame;
	uint16_t max_queues;
	int numa;            /* node, or -1 */
	uint8_t mac[6];
	char driver[32];
	char name[64];
	char why[96];        /* of an error: which call */
};

/* sp_probe makes a device of a devargs string, if it is not there already, and
 * gives its port. 1: it was there. */
int sp_probe(const char *devargs, uint16_t *port);
int sp_remove(uint16_t port);
int sp_find(const char *name, uint16_t *port);

/* sp_describe fills in what a device is. sp_configure chooses and sets what is
 * asked of it. sp_adopt_running does both for one that the program has started. */
int sp_describe(struct sp_device *d);
int sp_configure(struct sp_device *d);
int sp_adopt_running(struct sp_device *d);

/* sp_queue_setup sets up one queue; sp_start starts the device and sets key and
 * table, which it reads back into d and reta. */
int sp_queue_setup(struct sp_device *d, uint16_t queue, struct rte_mempool *rx);
int sp_start(struct sp_device *d, uint16_t *reta);
int sp_stop(uint16_t port);
int sp_close(uint16_t port);
int sp_set_reta(struct sp_device *d, const uint16_t *reta);
int sp_get_reta(struct sp_device *d, uint16_t *reta);
/* sp_copies: the driver has read a packet when the burst returns. */
int sp_copies(const struct sp_device *d);
int sp_shared_mode(const struct sp_device *d, uint8_t *cleanup);

/* sp_times fills in where the device writes the time of arrival and in which unit,
 * if it does and that is known; 1: it is. */
int sp_times(const struct sp_device *d, struct sp_queue *q);

/* sp_inserts_in_software: the driver puts a tag into the packet's own bytes. */
int sp_inserts_in_software(const struct sp_device *d);

/* sp_intr makes the epoll descriptor of a queue's interrupts, -1: none. */
int sp_intr(uint16_t port, uint16_t queue);
void sp_intr_end(uint16_t port, uint16_t queue, int fd);

int sp_link(uint16_t port, uint32_t *mbps);
int sp_missed(uint16_t port, uint64_t *missed, uint64_t *errors, uint64_t *nombuf);
int sp_xstats_count(uint16_t port);
int sp_xstats(uint16_t port, int n, char (*names)[64], uint64_t *values);
int sp_set_mtu(uint16_t port, uint16_t mtu);
int sp_promiscuous(uint16_t port, int on);
int sp_allmulticast(uint16_t port, int on);
int sp_mac(uint16_t port, const uint8_t *mac, int add);
int sp_groups(uint16_t port, const uint8_t *macs, uint32_t n);

/* Memory. sp_mempool makes one for n buffers of room bytes behind the headroom;
 * room 0: only headers. A private one is in memory that neither a card nor another
 * process can read, in huge pages even where DPDK has none: sp_private says whether
 * that is so. */
int sp_private(void);
struct rte_mempool *sp_mempool(const char *name, uint32_t n, uint32_t room, int node, int private);
uint32_t sp_mempool_avail(const struct rte_mempool *mp);
uint32_t sp_mempool_size(const struct rte_mempool *mp);
void sp_mempool_free(struct rte_mempool *mp);
int sp_mempool_fits(const struct rte_mempool *mp, uint32_t *room);
int sp_mempool_ranges(const struct rte_mempool *mp, struct sp_pool *p);
int sp_register_memory(struct sp_pool *p, uint16_t port, void *addr, uint64_t len, uint64_t page);
void sp_unregister_memory(uint16_t port, void *addr, uint64_t len);
void *sp_zalloc(uint64_t size);
void sp_free(void *p);

/* A pair of devices that pass each other mbufs. sp_kept gives the flag of those that
 * their sender keeps; 0: there is none left. */
uint64_t sp_kept(void);
struct rte_ring *sp_ring_new(const char *name, uint32_t slots);
int sp_ring_port(const char *name, struct rte_ring **rx, struct rte_ring **tx, uint16_t n);
void sp_ring_drain(struct rte_ring *r);
void sp_ring_free(struct rte_ring *r);

/* A rule that steers packets to a queue. Zero fields match anything. */
struct sp_rule {
	uint16_t ether_type; /* with nothing else below */
	uint8_t version;     /* 4, 6 or 0 */
	uint8_t proto;       /* 6, 17 or 0 */
	uint8_t src[16], dst[16], src_mask[16], dst_mask[16];
	uint16_t sport, dport;
	uint16_t queue;
};
void *sp_flow_create(uint16_t port, const struct sp_rule *r, char *why, uint32_t len);
int sp_flow_destroy(uint16_t port, void *flow, char *why, uint32_t len);

#endif
