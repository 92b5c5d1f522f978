//go:build lwip

#include "peer.h"

#include "inst.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 32, BULK_WRITE = 16 << 10, UDP_BURST = 64 };

struct conn {
	struct tcp_pcb *pcb;
	int got;
};

static struct trial *T;
static uint64_t count, opened, failed;
static struct conn *conns;
static int turn; /* the connection that sends next, when not all may */
static unsigned char block[64 << 10];
static struct udp_pcb *udp_out;

static int64_t now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int open_conn(struct conn *c);

/* fill writes until the send buffer is full. */
static void fill(struct tcp_pcb *pcb)
{
	for (;;) {
		u16_t room = tcp_sndbuf(pcb) < BULK_WRITE ? (u16_t)tcp_sndbuf(pcb) : BULK_WRITE;
		if (room < pcb->mss || client.tcp_write(pcb, block, room, TCP_WRITE_FLAG_COPY) != ERR_OK) {
			return;
		}
	}
}

static void request(struct conn *c)
{
	c->got = 0;
	if (client.tcp_write(c->pcb, block, (u16_t)T->size, TCP_WRITE_FLAG_COPY) != ERR_OK) {
		failed++;
	}
}

static err_t client_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
	(void)arg, (void)n;
	fill(pcb);
	return ERR_OK;
}

static err_t client_up(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)err;
	opened++;
	if (T->work == WORK_CPS) { /* the others begin when all stand */
		request(arg);
		client.tcp_output(pcb);
	}
	return ERR_OK;
}

/* next has a connection send: the one that got its answer, or the one whose
 * turn it is. */
static void next(struct conn *done)
{
	struct conn *c = done;
	done->got = 0;
	if (T->conns > T->in_flight) {
		c = &conns[turn];
		turn = turn + 1 == T->conns ? 0 : turn + 1;
	}
	request(c);
	if (c != done) { /* done's goes out when the input is done */
		client.tcp_output(c->pcb);
	}
}

static err_t client_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct conn *c = arg;
	(void)err;
	if (p == NULL) {
		failed++;
		client.tcp_close(pcb);
		return ERR_OK;
	}
	c->got += p->tot_len;
	client.tcp_recved(pcb, p->tot_len);
	client.pbuf_free(p);
	if (c->got < T->size) {
		return ERR_OK;
	}
	count++;
	if (T->work == WORK_RR) {
		next(c);
		return ERR_OK;
	}
	client.tcp_arg(pcb, NULL);
	client.tcp_recv(pcb, NULL);
	client.tcp_err(pcb, NULL);
	client.tcp_close(pcb);
	return open_conn(c) == 0 ? ERR_OK : ERR_MEM;
}

static void client_err(void *arg, err_t err)
{
	(void)err;
	failed++;
	if (T->work == WORK_CPS && arg != NULL) {
		open_conn(arg);
	}
}

static int open_conn(struct conn *c)
{
	struct tcp_pcb *pcb = client.tcp_new();
	if (pcb == NULL) {
		return -1;
	}
	c->pcb = pcb;
	c->got = 0;
	tcp_nagle_disable(pcb);
	client.tcp_arg(pcb, c);
	client.tcp_recv(pcb, client_recv);
	client.tcp_err(pcb, client_err);
	if (T->work == WORK_BULK) {
		client.tcp_sent(pcb, client_sent);
	}
	if (client.tcp_connect(pcb, &server_addr, SERVER_PORT, client_up) != ERR_OK) {
		return -1;
	}
	return 0;
}

static err_t server_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)arg, (void)err;
	if (p == NULL) {
		server.tcp_close(pcb);
		return ERR_OK;
	}
	server.tcp_recved(pcb, p->tot_len);
	if (T->work == WORK_BULK) {
		count += p->tot_len;
	} else if (server.tcp_write(pcb, p->payload, p->len, TCP_WRITE_FLAG_COPY) != ERR_OK) {
		failed++;
	}
	server.pbuf_free(p);
	return ERR_OK;
}

static err_t server_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg, (void)err;
	tcp_nagle_disable(pcb);
	server.tcp_recv(pcb, server_recv);
	return ERR_OK;
}

static void udp_in(void *arg, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *addr, u16_t port)
{
	(void)arg, (void)pcb, (void)addr, (void)port;
	count++;
	server.pbuf_free(p);
}

static void udp_burst(void)
{
	int i;
	for (i = 0; i < UDP_BURST; i++) {
		struct pbuf *p = client.pbuf_alloc(PBUF_TRANSPORT, (u16_t)T->size, PBUF_RAM);
		if (p == NULL) {
			return;
		}
		memcpy(p->payload, block, (size_t)T->size);
		client.udp_send(udp_out, p);
		client.pbuf_free(p);
	}
}

/* rounds serves both ends a few times, then the timers. */
static void rounds(void)
{
	int i;
	for (i = 0; i < ROUNDS; i++) {
		if (udp_out != NULL) {
			udp_burst();
		}
		inst_poll(&server);
		inst_poll(&client);
		if (T->work == WORK_CPS) {
			while (*client.tw != NULL) {
				client.tcp_abort(*client.tw);
			}
		}
	}
	inst_timers(&server);
	inst_timers(&client);
}

static int fault(const char *why)
{
	snprintf(T->fault, sizeof T->fault, "%s", why);
	return -1;
}

static int serve(void)
{
	struct tcp_pcb *l;
	if (T->work == WORK_UDP) {
		struct udp_pcb *in = server.udp_new();
		udp_out = client.udp_new();
		if (in == NULL || udp_out == NULL || server.udp_bind(in, &server_addr, SERVER_PORT) != ERR_OK ||
		    client.udp_connect(udp_out, &server_addr, SERVER_PORT) != ERR_OK) {
			return fault("no UDP socket");
		}
		server.udp_recv(in, udp_in, NULL);
		return 0;
	}
	l = server.tcp_new();
	if (l == NULL || server.tcp_bind(l, &server_addr, SERVER_PORT) != ERR_OK ||
	    (l = server.tcp_listen_with_backlog(l, 255)) == NULL) {
		return fault("cannot listen");
	}
	server.tcp_accept(l, server_accept);
	return 0;
}

/* connect_all opens the connections, some at a time. */
static int connect_all(int64_t end)
{
	int i;
	for (i = 0; i < T->conns; i++) {
		if (open_conn(&conns[i]) != 0) {
			return fault("tcp_connect failed: out of ports or memory");
		}
		if (i % 32 == 31) {
			rounds();
		}
	}
	while (opened < (uint64_t)T->conns) {
		if (now() > end) {
			return fault("not all connections were made in time");
		}
		rounds();
	}
	return 0;
}

static double rate(void)
{
	int64_t begun = now(), t;
	uint64_t n;
	while (now() - begun < T->warm || count == 0) {
		rounds();
		if (now() - begun > T->timeout) {
			return 0;
		}
	}
	n = count;
	begun = now();
	while ((t = now()) - begun < T->time) {
		rounds();
	}
	return (double)(count - n) * 1e9 / (double)(t - begun);
}

static void begin(struct conn *c)
{
	if (T->work == WORK_BULK) {
		fill(c->pcb);
		client.tcp_output(c->pcb);
	} else if (T->work == WORK_RR) {
		request(c);
		client.tcp_output(c->pcb);
	}
}

int lwip_trial(struct trial *t)
{
	int64_t heap;
	int i, begun;
	T = t;
	if (inst_open(t->mtu, t->fault, sizeof t->fault) != 0 || serve() != 0) {
		return -1;
	}
	if ((conns = calloc((size_t)t->conns, sizeof *conns)) == NULL) {
		return fault("no memory");
	}
	heap = inst_heap(&client) + inst_heap(&server);
	if (t->work != WORK_UDP && connect_all(now() + t->timeout) != 0) {
		return -1;
	}
	if (t->work == WORK_IDLE) {
		t->result = (double)(inst_heap(&client) + inst_heap(&server) - heap);
		return 0;
	}
	begun = t->work == WORK_RR && t->conns > t->in_flight ? t->in_flight : t->conns;
	for (i = 0; i < begun; i++) {
		begin(&conns[i]);
	}
	turn = begun;
	if ((t->result = rate()) == 0) {
		return fault("nothing was done in time");
	}
	if (failed * 100 > count) {
		snprintf(t->fault, sizeof t->fault, "%llu failures, %llu done", (unsigned long long)failed, (unsigned long long)count);
		return -1;
	}
	return 0;
}
