/*
 * Two instances of lwIP in one process. liblwip keeps its state in globals, so
 * it is loaded twice, each copy in a namespace of its own (dlmopen), and called
 * through pointers: each end then has its own lists of connections, as on two
 * machines.
 */
#ifndef INST_H
#define INST_H

#include "lwip/init.h"
#include "lwip/ip.h"
#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"

#define LWIP_CALLS(X)                                                          \
	X(lwip_init) X(netif_add) X(netif_set_up) X(netif_set_link_up)             \
	X(netif_set_default) X(ip4_input) X(sys_check_timeouts)                    \
	X(pbuf_alloc) X(pbuf_alloced_custom) X(pbuf_free) X(pbuf_copy_partial)     \
	X(tcp_new) X(tcp_bind) X(tcp_connect) X(tcp_listen_with_backlog)           \
	X(tcp_accept) X(tcp_recv) X(tcp_sent) X(tcp_err) X(tcp_arg) X(tcp_recved)  \
	X(tcp_write) X(tcp_output) X(tcp_close) X(tcp_abort)                       \
	X(udp_new) X(udp_bind) X(udp_connect) X(udp_recv) X(udp_send)

struct frame;

/* fifo holds the frames on their way to an end. */
struct fifo {
	struct frame *head, **tail;
	int n;
};

struct inst {
#define X(name) __typeof__(name) *name;
	LWIP_CALLS(X)
#undef X
	struct tcp_pcb **tw; /* tcp_tw_pcbs */
	struct netif nif;
	struct fifo in;
	struct inst *peer;
	void *so;
};

/* Both ends; inst_open loads them and joins them by a wire of the given MTU. */
extern struct inst client, server;
extern uint64_t wire_drops;

int inst_open(int mtu, char *fault, int n);

/* inst_poll gives an end the frames that wait for it; returns how many. */
int inst_poll(struct inst *in);

/* inst_heap gives the bytes that an end has allocated. */
int64_t inst_heap(struct inst *in);

/* inst_timers runs timers that are due, and ends what is in TIME-WAIT. */
void inst_timers(struct inst *in);

#define SERVER_PORT 7
extern ip_addr_t server_addr;

#endif
