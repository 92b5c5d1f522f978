//go:build lwip

#define _GNU_SOURCE
#include "inst.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inst client, server;
uint64_t wire_drops;
ip_addr_t server_addr;

enum { FRAME_ROOM = 2048, WIRE_DEPTH = 1 << 16, BURST = 64 };

/* frame is a buffer of the wire: the sender copies a packet into it, the
 * receiver gets it as a custom pbuf and gives it back by freeing that. */
struct frame {
	struct pbuf_custom p; /* first: pbuf to frame is a cast */
	struct frame *next;
	int len;
	unsigned char data[FRAME_ROOM];
};

static struct frame *spare; /* of both directions: there is one thread */

static void frame_free(struct pbuf *p)
{
	struct frame *f = (struct frame *)p;
	f->next = spare;
	spare = f;
}

/* wire_out is a netif's output: the packet is copied, as a NIC would. */
static err_t wire_out(struct netif *nif, struct pbuf *p, const ip4_addr_t *to)
{
	struct inst *in = nif->state;
	struct fifo *q = &in->peer->in;
	struct frame *f = spare;
	(void)to;
	if (q->n >= WIRE_DEPTH || p->tot_len > FRAME_ROOM) {
		wire_drops++;
		return ERR_BUF;
	}
	if (f != NULL) {
		spare = f->next;
	} else if ((f = malloc(sizeof *f)) == NULL) {
		return ERR_MEM;
	}
	f->len = p->tot_len;
	if (p->next == NULL) {
		memcpy(f->data, p->payload, p->len);
	} else {
		in->pbuf_copy_partial(p, f->data, p->tot_len, 0);
	}
	f->p.custom_free_function = frame_free;
	f->next = NULL;
	*q->tail = f;
	q->tail = &f->next;
	q->n++;
	return ERR_OK;
}

int inst_poll(struct inst *in)
{
	int n;
	for (n = 0; n < BURST && in->in.head != NULL; n++) {
		struct frame *f = in->in.head;
		struct pbuf *p;
		if ((in->in.head = f->next) == NULL) {
			in->in.tail = &in->in.head;
		}
		in->in.n--;
		p = in->pbuf_alloced_custom(PBUF_RAW, f->len, PBUF_REF, &f->p, f->data, FRAME_ROOM);
		in->ip4_input(p, &in->nif);
	}
	return n;
}

void inst_timers(struct inst *in)
{
	in->sys_check_timeouts();
	while (*in->tw != NULL) {
		in->tcp_abort(*in->tw);
	}
}

int64_t inst_heap(struct inst *in)
{
	struct mallinfo2 (*info)(void) = (struct mallinfo2 (*)(void))dlsym(in->so, "mallinfo2");
	struct mallinfo2 m = info();
	return (int64_t)(m.uordblks + m.hblkhd);
}

static int mtu_now;

static err_t nif_init(struct netif *nif)
{
	nif->name[0] = 'w';
	nif->name[1] = 'i';
	nif->mtu = (u16_t)mtu_now;
	nif->output = wire_out;
	nif->flags |= NETIF_FLAG_BROADCAST;
	return ERR_OK;
}

static int load(struct inst *in, uint32_t addr, char *fault, int n)
{
	ip4_addr_t ip = {htonl(addr)}, mask = {htonl(0xfffe0000)}, gw = {0};
	in->so = dlmopen(LM_ID_NEWLM, "liblwip.so.0", RTLD_NOW | RTLD_LOCAL);
	if (in->so == NULL) {
		snprintf(fault, n, "%s", dlerror());
		return -1;
	}
#define X(name)                                                                \
	if ((in->name = (__typeof__(in->name))dlsym(in->so, #name)) == NULL) {     \
		snprintf(fault, n, "liblwip has no " #name);                           \
		return -1;                                                             \
	}
	LWIP_CALLS(X)
#undef X
	if ((in->tw = dlsym(in->so, "tcp_tw_pcbs")) == NULL) {
		snprintf(fault, n, "liblwip has no tcp_tw_pcbs");
		return -1;
	}
	in->in.tail = &in->in.head;
	in->lwip_init();
	if (in->netif_add(&in->nif, &ip, &mask, &gw, in, nif_init, in->ip4_input) == NULL) {
		snprintf(fault, n, "netif_add failed");
		return -1;
	}
	in->netif_set_up(&in->nif);
	in->netif_set_link_up(&in->nif);
	in->netif_set_default(&in->nif);
	return 0;
}

int inst_open(int mtu, char *fault, int n)
{
	mtu_now = mtu;
	client.peer = &server;
	server.peer = &client;
	IP_ADDR4(&server_addr, 198, 19, 0, 1);
	if (load(&client, 0xc6120001, fault, n) != 0 || load(&server, 0xc6130001, fault, n) != 0) {
		return -1;
	}
	return 0;
}
