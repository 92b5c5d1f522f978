/* What the Go and the C side of package dpdk share. */
#ifndef SP_H
#define SP_H

#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

/* The hot line of a pbuf (package pbuf, lent.go), which lies in the private
 * area of an mbuf, right behind it. */
struct sp_pbuf {
	uint64_t next;
	uint64_t payload;
	uint32_t tot_len;
	uint32_t len;
	uint16_t ref;
	uint8_t kind;
	uint8_t state;
	uint8_t home;
	uint8_t at;
	uint16_t room;
	uint32_t hash;
	uint32_t flags;
	uint16_t seg_size;
	uint16_t vlan;
	uint8_t l2_len, l3_len, l4_len, netif;
	int64_t time;
	uint64_t qnext;
};

enum {
	SP_MBUF = 128,     /* bytes of an mbuf, and so from it to its pbuf */
	SP_PRIV = 128,     /* bytes of a pbuf */
	SP_HEADROOM = 128, /* in front of the data room */

	SP_CLASSES = 3,
	SP_SORTS = SP_CLASSES + 1, /* of elements: by class, and lent */
	SP_STANDARD = 1,
	SP_HEADS = SP_CLASSES, /* only headers, for bytes of other elements */

	SP_STATE_CLASS = 0x03,
	SP_STATE_SHARED = 0x1c,
	SP_STATE_LENT = 0x40,
	SP_STATE_EXTERN = 0x80,
	SP_KIND_POOL = 1,
	SP_KIND_REF = 2,

	SP_RX_MAX = 512,  /* packets a receive crossing */
	SP_TX_MAX = 256,  /* packets a transmit crossing */
	SP_STOCK = 512,   /* elements in a reserve or a return list, at most */
	SP_LEAST = 64,    /* elements that are kept at hand, at least */
	SP_GRAIN = 32,    /* elements that go to or from a mempool at a time, at least */
	SP_PERIOD = 1024, /* crossings after which the need is judged anew */
	SP_RANGES = 64,   /* ranges of memory that a device may read */
	SP_SEG_MAX = 8192, /* bytes of an external segment */
	SP_AHEAD = 8,     /* packets that are fetched into the cache ahead */
	SP_PASS_LEAST = 256, /* bytes that a pair's other end gets as they are; less is copied */
	SP_HOLDS_MANY = 256, /* holds above which, */
	SP_HOLDS_OLD = 16,   /* or crossings after which, those behind a busy one are looked at */
	SP_HOLDS_LOOK = 32   /* and how many of them at most */
};

/* Flags of pbuf.Meta. */
enum {
	SP_RX_HASH = 1 << 0,
	SP_RX_TIME = 1 << 1,
	SP_RX_VLAN = 1 << 2,
	SP_RX_IP_GOOD = 1 << 3,
	SP_RX_IP_BAD = 1 << 4,
	SP_RX_L4_GOOD = 1 << 5,
	SP_RX_L4_BAD = 1 << 6,
	SP_RX_LRO = 1 << 7,
	SP_TX_IP_CSUM = 1 << 8,
	SP_TX_TCP_CSUM = 1 << 9,
	SP_TX_UDP_CSUM = 1 << 10,
	SP_TX_TSO = 1 << 11,
	SP_TX_USO = 1 << 12,
	SP_TX_VLAN = 1 << 13,
	SP_RX_L4_PARTIAL = 1 << 16,
	SP_TX_SHIFT = 8,
	SP_TX_ORDERS = 0x3f << 8
};

/* The elements of a class that wait between a pool and its mempool. Both lists
 * are of pbufs. The pool takes from back first, then from stock. As many are kept
 * as the pool takes in two crossings: with more, it would go round through more
 * memory than the first caches hold. */
struct sp_class {
	struct rte_mempool *mp; /* NULL: the pool has memory of its own */
	uint32_t stock_n;
	uint32_t back_n;
	uint32_t had;    /* elements at hand behind the last crossing */
	uint32_t want;   /* and how many there are to be */
	uint32_t peak;   /* the most that was taken between two crossings, of the period */
	uint32_t rounds; /* crossings of the period */
	uint64_t stock[SP_STOCK];
	uint64_t back[SP_STOCK];
};

/* What belongs to a pool, and so to a thread. */
struct sp_pool {
	struct sp_class class[SP_SORTS];
	uint32_t lent_n;
	uint32_t ranges_n;
	uint64_t lent[SP_STOCK]; /* pbufs, to whatever mempool they are from */
	uint64_t low[SP_RANGES], high[SP_RANGES];
	uint64_t misses; /* crossings because a reserve was empty or a list full */
};

/* Counters of a queue; its thread writes, any thread reads. */
struct sp_counters {
	uint64_t rx_packets, rx_bytes, rx_missed, rx_errors;
	uint64_t tx_packets, tx_bytes, tx_dropped, tx_errors;
	uint64_t rx_copied, tx_copied, tx_held, tx_external;
};

/* A packet that the device still reads and that others hold too. */
struct sp_hold {
	uint64_t pbuf;
	struct rte_mbuf *mbuf;              /* NULL: external segments */
	void *info[3];                      /* an rte_mbuf_ext_shared_info */
};

/* How the device treats sent packets that others hold too. */
enum sp_shared {
	SP_SHARED_COPY, /* it gets a copy */
	SP_SHARED_HOLD, /* it gets the packet, which is held until it is done */
	SP_SHARED_PASS  /* so does the other end of a pair, if a copy takes longer */
};

/* A queue: what both directions need, first what is hot. */
struct sp_queue {
	int gate; /* 0 open, 1 a thread is in it, 2 shut */
	uint16_t port;
	uint16_t queue;
	uint32_t max_frame;
	uint32_t hash_l4;        /* bit i: the hash of packets of L4 type i has ports */
	uint64_t time_flag;      /* bit of mbufs that have a time of arrival; 0: none has */
	uint32_t time_at;        /* where it is, in bytes from the mbuf's beginning */
	uint32_t time_unit;      /* in ns */
	uint64_t own_tag;        /* 8 bytes at sp_pbuf.ref of a received element of ours */
	uint64_t lent_tag;       /* and of another's, room added */
	uint64_t alias_tag;      /* and of one whose bytes are elsewhere */
	struct rte_mempool *own; /* the pool's standard class, or NULL */
	struct rte_mempool *rx;  /* received frames are from here */
	struct rte_mempool *copy_small, *copy; /* copies are made of these */
	uint32_t copied;         /* packets with these flags go as copies */
	uint32_t copy_small_room, copy_room; /* bytes that fit one of those */
	struct rte_mempool *heads; /* headers of external segments */
	struct sp_pool *pool;
	uint8_t pool_id;
	uint8_t shared;    /* enum sp_shared */
	uint32_t hold_least; /* bytes of a packet that is held and not copied */
	uint64_t kept;     /* of a pair: the flag of mbufs that their sender keeps */
	uint8_t cleanup;   /* the device can be asked to let go of sent packets */
	uint8_t any_range; /* the device reads any memory */
	uint8_t iova_va;   /* its addresses are ours */
	uint8_t direct[256]; /* by state: 1 + the sort of an element of ours that may go as it is, or 0 */

	/* Results of a crossing; the rest is good after sp_tx, and after sp_rx if
	 * books says so. */
	uint32_t books;
	uint32_t rx_own, rx_lent; /* elements received, or ours that became lent ones */
	uint32_t sent[SP_SORTS];  /* elements that are the device's now */
	uint32_t released_n;      /* pbufs to be freed by Go */
	uint64_t released[2 * SP_TX_MAX + 64];

	/* Frames that were taken in while going to sleep. */
	uint32_t stash_n, stash_at;
	struct rte_mbuf *stash[32];
	int epfd;   /* -1: no interrupts */
	int armed;

	/* Packets on their way out that others hold too, a ring. */
	uint32_t holds_mask, holds_head, holds_tail;
	uint32_t holds_wait; /* crossings that have found the first one busy */
	struct sp_hold *holds;
	int64_t cleaned; /* when the device was last asked to let go */

	struct rte_ring *tx_ring; /* of a pair in memory: where it sends */
	int *peer_up;             /* of a pair: whether the other end is there */

	struct sp_counters n;
	struct rte_mbuf *rx_mb[SP_RX_MAX];
	struct rte_mbuf *tx_mb[SP_TX_MAX];
};

/* The two crossings. sp_rx stores up to want packets as addresses of pbufs in
 * dst. sp_tx takes the first of n packets, at most SP_TX_MAX, and returns how
 * many. Both leave what Go has to book in the queue. */
uint32_t sp_rx(uintptr_t queue, uint64_t *dst, uint32_t want, int64_t now);
uint32_t sp_tx(uintptr_t queue, const uint64_t *ps, uint32_t n, int64_t now);

/* sp_arm asks for an interrupt; 0: frames are there already. */
int sp_arm(uintptr_t queue);

/* sp_stock and sp_unload are the crossings that a burst should have spared:
 * sp_stock fills the reserve of a class, sp_unload empties all return lists. */
void sp_stock(struct sp_pool *p, int class);
void sp_unload(struct sp_pool *p);

/* sp_shut keeps the queue's thread out and returns 0 when it has left, or -1
 * after a second. sp_open lets it in again. */
int sp_shut(struct sp_queue *q);
void sp_open(struct sp_queue *q);

/* sp_reclaim_all takes back what the closed device held, into released and sent;
 * it returns how many holds are left. */
uint32_t sp_reclaim_all(struct sp_queue *q);

/* sp_let_go gives up what the other end of a pair still reads: who lets go last
 * gives it to its mempool. Results are in released, sent and rx_lent. It returns how
 * many holds are left. */
uint32_t sp_let_go(struct sp_queue *q);

/* sp_drop_stash frees what the queue had taken in. */
void sp_drop_stash(struct sp_queue *q);

/* sp_orphans gives those buffers to their mempools that were freed by a sender which
 * is gone and that others have read by now. Any thread. */
void sp_orphans(void);

/* sp_unstock gives all that a closed pool had at hand back to the mempools. */
void sp_unstock(struct sp_pool *p);

#endif
