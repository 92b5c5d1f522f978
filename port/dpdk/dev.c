//go:build dpdk

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf_dyn.h>
#include <rte_version.h>

#include "dev.h"

/* sp_mend_signals has handlers that drivers install (net_tap has one that tells
 * of frames) run on the signal stack: that of a goroutine is too small. */
static void sp_mend_signals(void)
{
	struct sigaction sa;
	int s;
	for (s = SIGRTMIN; s <= SIGRTMAX; s++) {
		if (sigaction(s, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL && sa.sa_handler != SIG_IGN &&
			(sa.sa_flags & SA_ONSTACK) == 0) {
			sa.sa_flags |= SA_ONSTACK;
			(void)sigaction(s, &sa, NULL);
		}
	}
}

struct sp_eal_args {
	int argc;
	char **argv;
	int result;
};

static void *sp_eal_main(void *arg)
{
	struct sp_eal_args *a = arg;
	a->result = rte_eal_init(a->argc, a->argv);
	sp_mend_signals();
	if (a->result < 0) {
		a->result = -rte_errno;
	}
	return NULL;
}

int sp_eal_init(int argc, char **argv)
{
	struct sp_eal_args a = {argc, argv, 0};
	pthread_t t;
	int err = pthread_create(&t, NULL, sp_eal_main, &a);
	if (err != 0) {
		return -err;
	}
	(void)pthread_join(t, NULL);
	return a.result;
}

int sp_eal_cleanup(void)
{
	return rte_eal_cleanup();
}

int sp_find(const char *name, uint16_t *port)
{
	return rte_eth_dev_get_port_by_name(name, port);
}

int sp_probe(const char *devargs, uint16_t *port)
{
	struct rte_dev_iterator it;
	char name[64];
	uint16_t id;
	int err;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(devargs, ","), devargs);
	if (rte_eth_dev_get_port_by_name(name, port) == 0) {
		return 1;
	}
	err = rte_dev_probe(devargs);
	sp_mend_signals();
	if (err != 0) {
		return err;
	}
	if (rte_eth_dev_get_port_by_name(name, port) == 0) {
		return 0;
	}
	RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &it) {
		rte_eth_iterator_cleanup(&it);
		*port = id;
		return 0;
	}
	return -ENODEV;
}

static unsigned sp_turns; /* how often the interrupt thread has come round for us */

static void sp_turn(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&sp_turns, 1, __ATOMIC_RELEASE);
}

/* sp_settle waits until DPDK's interrupt thread is through with what it does. A
 * driver's handler that runs while its device is stopped stays registered (virtio
 * does not look whether it could be taken away), and the next one uses a device
 * that is not there. */
static void sp_settle(void)
{
	unsigned before = __atomic_load_n(&sp_turns, __ATOMIC_ACQUIRE);
	struct timespec nap = {0, 20000};
	int i;
	if (rte_eal_alarm_set(1, sp_turn, NULL) != 0) {
		return;
	}
	for (i = 0; i < 50000 && __atomic_load_n(&sp_turns, __ATOMIC_ACQUIRE) == before; i++) {
		(void)nanosleep(&nap, NULL);
	}
}

int sp_remove(uint16_t port)
{
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(port, &info);
	struct rte_device *dev = err == 0 ? (struct rte_device *)(uintptr_t)info.device : NULL;
	if ((err = sp_close(port)) != 0) {
		return err;
	}
	return dev == NULL ? 0 : rte_dev_remove(dev);
}

static int sp_fail(struct sp_device *d, const char *call, int err)
{
	snprintf(d->why, sizeof(d->why), "%s", call);
	return err;
}

int sp_describe(struct sp_device *d)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	unsigned a, b, c, f;
	int err;
	if ((err = rte_eth_dev_info_get(d->port, &info)) != 0) {
		return sp_fail(d, "rte_eth_dev_info_get", err);
	}
	snprintf(d->driver, sizeof(d->driver), "%s", info.driver_name);
	if (rte_eth_dev_get_name_by_port(d->port, d->name) != 0) {
		d->name[0] = 0;
	}
	d->physical = sscanf(d->name, "%x:%x:%x.%x", &a, &b, &c, &f) == 4;
	d->numa = rte_eth_dev_socket_id(d->port);
	d->max_queues = RTE_MIN(info.max_rx_queues, info.max_tx_queues);
	if (rte_eth_macaddr_get(d->port, &mac) == 0) {
		memcpy(d->mac, mac.addr_bytes, sizeof(d->mac));
	}
	return 0;
}

/* sp_choose picks the offloads that are asked for and there. */
static void sp_choose(struct sp_device *d, const struct rte_eth_dev_info *info)
{
	d->tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	d->rx_offloads = 0;
	if (d->offloads) {
		d->tx_offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
			RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_UDP_TSO | RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
		d->rx_offloads |= RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
			RTE_ETH_RX_OFFLOAD_RSS_HASH;
		if (d->lro) {
			d->rx_offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO;
		}
		if (d->vlan_strip) {
			d->rx_offloads |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
		}
	}
	if (d->fast_free) {
		d->tx_offloads |= RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	}
	if (d->max_rx_frame > 2048 || d->lro) {
		d->rx_offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
	}
	d->tx_offloads &= info->tx_offload_capa;
	/* It compares the frame, link header and all, with the MTU, and takes neither
	 * a segment of full size nor what is behind it, for ever. */
	if (strcmp(d->driver, "net_tap") == 0) {
		d->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
	}
	d->rx_offloads &= info->rx_offload_capa;
	if ((d->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) == 0) {
		d->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
	}
	if ((d->tx_offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) == 0) {
		d->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_UDP_TSO;
	}
}

/* sp_choose_rss decides what is hashed, and how. */
static void sp_choose_rss(struct sp_device *d, const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	d->rss_hf &= info->flow_type_rss_offloads;
	if (d->rss_hf == 0 || info->reta_size < 64) {
		d->rss_hf = 0;
		d->reta_size = 0;
		d->key_len = 0;
		d->rx_offloads &= ~RTE_ETH_RX_OFFLOAD_RSS_HASH;
		return;
	}
	d->reta_size = info->reta_size;
	d->key_len = info->hash_key_size != 0 ? RTE_MIN(info->hash_key_size, sizeof(d->key)) : 40;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_key = d->key;
	conf->rx_adv_conf.rss_conf.rss_key_len = d->key_len;
	conf->rx_adv_conf.rss_conf.rss_hf = d->rss_hf;
}

int sp_configure(struct sp_device *d)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int err;
	if ((err = rte_eth_dev_info_get(d->port, &info)) != 0) {
		return sp_fail(d, "rte_eth_dev_info_get", err);
	}
	if (d->queues > RTE_MIN(info.max_rx_queues, info.max_tx_queues)) {
		return sp_fail(d, "number of queues", -ERANGE);
	}
	if (d->mtu < info.min_mtu || d->mtu > info.max_mtu) {
		return sp_fail(d, "MTU", -ERANGE);
	}
	memset(&conf, 0, sizeof(conf));
	d->max_rx_frame = d->mtu + RTE_ETHER_HDR_LEN + 8;
	sp_choose(d, &info);
	sp_choose_rss(d, &info, &conf);
	conf.rxmode.mtu = d->mtu;
	conf.rxmode.offloads = d->rx_offloads;
	conf.txmode.offloads = d->tx_offloads;
	if (d->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) {
		conf.rxmode.max_lro_pkt_size = info.max_lro_pkt_size;
	}
	conf.intr_conf.rxq = d->want_intr;
	err = rte_eth_dev_configure(d->port, d->queues, d->queues, &conf);
	if (err != 0 && d->want_intr) {
		conf.intr_conf.rxq = 0;
		err = rte_eth_dev_configure(d->port, d->queues, d->queues, &conf);
	}
	if (err != 0) {
		return sp_fail(d, "rte_eth_dev_configure", err);
	}
	/* net_tap reads only after a signal, if it finds one that nobody handles. Go's
	 * runtime handles all, but not in every program that has set DPDK up first, and
	 * the signal may come behind the interrupt. */
	d->intr = conf.intr_conf.rxq && strcmp(d->driver, "net_tap") != 0;
	/* A device without the call has the MTU of its configuration. */
	err = rte_eth_dev_set_mtu(d->port, d->mtu);
	if (err != 0 && err != -ENOTSUP) {
		return sp_fail(d, "rte_eth_dev_set_mtu", err);
	}
	if (d->rx_desc == 0) {
		d->rx_desc = 1024;
	}
	if (d->tx_desc == 0) {
		d->tx_desc = 1024;
	}
	if ((err = rte_eth_dev_adjust_nb_rx_tx_desc(d->port, &d->rx_desc, &d->tx_desc)) != 0) {
		return sp_fail(d, "rte_eth_dev_adjust_nb_rx_tx_desc", err);
	}
	return 0;
}

int sp_adopt_running(struct sp_device *d)
{
	struct rte_eth_dev_info info;
	struct rte_eth_rxq_info rxq;
	struct rte_eth_txq_info txq;
	struct rte_eth_rss_conf rss;
	int err;
	if ((err = rte_eth_dev_info_get(d->port, &info)) != 0) {
		return sp_fail(d, "rte_eth_dev_info_get", err);
	}
	d->queues = RTE_MIN(info.nb_rx_queues, info.nb_tx_queues);
	d->rx_desc = d->tx_desc = 1024;
	if (rte_eth_rx_queue_info_get(d->port, 0, &rxq) == 0) {
		d->rx_offloads = rxq.conf.offloads;
		d->rx_desc = rxq.nb_desc;
	}
	if (rte_eth_tx_queue_info_get(d->port, 0, &txq) == 0) {
		d->tx_offloads = txq.conf.offloads;
		d->tx_desc = txq.nb_desc;
	}
	if ((err = rte_eth_dev_get_mtu(d->port, &d->mtu)) != 0) {
		return sp_fail(d, "rte_eth_dev_get_mtu", err);
	}
	d->max_rx_frame = d->mtu + RTE_ETHER_HDR_LEN + 8;
	memset(&rss, 0, sizeof(rss));
	rss.rss_key = d->key;
	rss.rss_key_len = info.hash_key_size != 0 ? RTE_MIN(info.hash_key_size, sizeof(d->key)) : 40;
	if (info.reta_size >= 64 && rte_eth_dev_rss_hash_conf_get(d->port, &rss) == 0 && rss.rss_hf != 0) {
		d->key_len = rss.rss_key_len;
		d->reta_size = info.reta_size;
		d->rss_hf = rss.rss_hf;
	} else {
		d->rss_hf = 0;
	}
	return 0;
}

int sp_queue_setup(struct sp_device *d, uint16_t queue, struct rte_mempool *rx)
{
	struct rte_eth_dev_info info;
	struct rte_eth_rxconf rxconf;
	struct rte_eth_txconf txconf;
	unsigned node = d->numa < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)d->numa;
	int err;
	if ((err = rte_eth_dev_info_get(d->port, &info)) != 0) {
		return sp_fail(d, "rte_eth_dev_info_get", err);
	}
	rxconf = info.default_rxconf;
	rxconf.offloads = d->rx_offloads;
	if ((err = rte_eth_rx_queue_setup(d->port, queue, d->rx_desc, node, &rxconf, rx)) != 0) {
		return sp_fail(d, "rte_eth_rx_queue_setup", err);
	}
	txconf = info.default_txconf;
	txconf.offloads = d->tx_offloads;
	if ((err = rte_eth_tx_queue_setup(d->port, queue, d->tx_desc, node, &txconf)) != 0) {
		return sp_fail(d, "rte_eth_tx_queue_setup", err);
	}
	sp_mend_signals();
	return 0;
}

int sp_set_reta(struct sp_device *d, const uint16_t *reta)
{
	struct rte_eth_rss_reta_entry64 e[RTE_ETH_RSS_RETA_SIZE_512 / 64 * 8];
	uint16_t i;
	memset(e, 0, sizeof(e));
	for (i = 0; i < d->reta_size; i++) {
		e[i / 64].mask |= UINT64_C(1) << (i % 64);
		e[i / 64].reta[i % 64] = reta[i];
	}
	return rte_eth_dev_rss_reta_update(d->port, e, d->reta_size);
}

int sp_get_reta(struct sp_device *d, uint16_t *reta)
{
	struct rte_eth_rss_reta_entry64 e[RTE_ETH_RSS_RETA_SIZE_512 / 64 * 8];
	uint16_t i;
	int err;
	memset(e, 0, sizeof(e));
	for (i = 0; i < d->reta_size; i++) {
		e[i / 64].mask |= UINT64_C(1) << (i % 64);
	}
	if ((err = rte_eth_dev_rss_reta_query(d->port, e, d->reta_size)) != 0) {
		return err;
	}
	for (i = 0; i < d->reta_size; i++) {
		reta[i] = e[i / 64].reta[i % 64];
	}
	return 0;
}

int sp_start(struct sp_device *d, uint16_t *reta)
{
	struct rte_eth_rss_conf rss;
	int err;
	if ((err = rte_eth_dev_start(d->port)) != 0) {
		return sp_fail(d, "rte_eth_dev_start", err);
	}
	if (d->promiscuous) {
		(void)rte_eth_promiscuous_enable(d->port); /* some have nothing to filter with */
	}
	if (d->rss_hf == 0) {
		return 0;
	}
	memset(&rss, 0, sizeof(rss));
	rss.rss_key = d->key;
	rss.rss_key_len = d->key_len;
	rss.rss_hf = d->rss_hf;
	/* Some take the key only with their configuration. What they have is read. */
	(void)rte_eth_dev_rss_hash_update(d->port, &rss);
	if ((err = sp_set_reta(d, reta)) != 0 && err != -ENOTSUP) {
		return sp_fail(d, "rte_eth_dev_rss_reta_update", err);
	}
	memset(&rss, 0, sizeof(rss));
	rss.rss_key = d->key;
	rss.rss_key_len = d->key_len;
	err = rte_eth_dev_rss_hash_conf_get(d->port, &rss);
	if (err == 0 && rss.rss_hf != 0) {
		d->rss_hf = rss.rss_hf;
	} else if (err != 0 && err != -ENOTSUP) {
		return sp_fail(d, "rte_eth_dev_rss_hash_conf_get", err);
	}
	if ((err = sp_get_reta(d, reta)) != 0 && err != -ENOTSUP) {
		return sp_fail(d, "rte_eth_dev_rss_reta_query", err);
	}
	return 0;
}

int sp_stop(uint16_t port)
{
	sp_settle();
	return rte_eth_dev_stop(port);
}

int sp_close(uint16_t port)
{
	sp_settle();
	return rte_eth_dev_close(port);
}

/* Drivers that have read a packet when the burst returns. */
static const char *const sp_prompt[] = {
	"net_af_packet", "net_tap", "net_pcap", "net_null", "net_vhost",
};

int sp_copies(const struct sp_device *d)
{
	size_t i;
	for (i = 0; i < RTE_DIM(sp_prompt); i++) {
		if (strcmp(d->driver, sp_prompt[i]) == 0) {
			return 1;
		}
	}
	return 0;
}

int sp_shared_mode(const struct sp_device *d, uint8_t *cleanup)
{
	*cleanup = 0;
	if (d->fast_free || strcmp(d->driver, "net_ring") == 0) {
		return SP_SHARED_COPY; /* whoever gets a packet there gets its mbuf */
	}
	if (sp_copies(d)) {
		return SP_SHARED_HOLD;
	}
	/* A card that can't be asked to let go keeps what it has sent until it
	 * needs the room: nothing could be sent again before. */
	if (rte_eth_tx_done_cleanup(d->port, 0, 0) < 0) {
		return SP_SHARED_COPY;
	}
	*cleanup = 1;
	return SP_SHARED_HOLD;
}

int sp_times(const struct sp_device *d, struct sp_queue *q)
{
	int bit, at;
	/* Those of cards are in ticks of a clock of theirs. */
	if (strcmp(d->driver, "net_pcap") != 0 || (bit = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL)) < 0 ||
		(at = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL)) < 0) {
		return 0;
	}
	if (q != NULL) {
		q->time_flag = UINT64_C(1) << bit;
		q->time_at = (uint32_t)at;
		q->time_unit = 1000;
	}
	return 1;
}

int sp_inserts_in_software(const struct sp_device *d)
{
	return strstr(d->driver, "virtio") != NULL || strcmp(d->driver, "net_vhost") == 0 || strcmp(d->driver, "net_af_packet") == 0;
}

void sp_intr_end(uint16_t port, uint16_t queue, int fd)
{
	(void)rte_eth_dev_rx_intr_ctl_q(port, queue, fd, RTE_INTR_EVENT_DEL, NULL);
}

int sp_intr(uint16_t port, uint16_t queue)
{
	int fd;
	/* First what is quiet about having none. */
	if (rte_eth_dev_rx_intr_enable(port, queue) != 0) {
		return -1;
	}
	(void)rte_eth_dev_rx_intr_disable(port, queue);
	if ((fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
		return -1;
	}
	if (rte_eth_dev_rx_intr_ctl_q(port, queue, fd, RTE_INTR_EVENT_ADD, NULL) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}
