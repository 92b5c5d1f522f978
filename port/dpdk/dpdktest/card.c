//go:build dpdk

/* The functions of DPDK's that are defined here are found before the library's by
 * all that is linked into the test's program. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_flow.h>

#include "card.h"

static uint64_t card_tx, card_rx;         /* pretended */
static uint64_t card_asked_tx, card_asked_rx;
static int card_takes, card_in_force;
static struct card_rule card_rule;

void card_pretend(uint64_t tx, uint64_t rx)
{
	card_tx = tx;
	card_rx = rx;
}

void card_asked(uint64_t *tx, uint64_t *rx)
{
	*tx = card_asked_tx;
	*rx = card_asked_rx;
}

void card_rules(int on)
{
	card_takes = on;
	card_in_force = 0;
}

int card_last(struct card_rule *r)
{
	*r = card_rule;
	return card_in_force;
}

/* card_next finds the library's own function. */
static void *card_next(const char *name) { return dlsym(RTLD_NEXT, name); }

int rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
	int (*next)(uint16_t, struct rte_eth_dev_info *);
	int err;
	*(void **)(&next) = card_next("rte_eth_dev_info_get");
	err = next(port, info);
	if (err == 0 && (card_tx | card_rx) != 0) {
		info->tx_offload_capa |= card_tx;
		info->rx_offload_capa |= card_rx;
		info->max_lro_pkt_size = UINT16_MAX;
	}
	return err;
}

int rte_eth_dev_configure(uint16_t port, uint16_t nrx, uint16_t ntx, const struct rte_eth_conf *conf)
{
	int (*next)(uint16_t, uint16_t, uint16_t, const struct rte_eth_conf *);
	struct rte_eth_conf c = *conf;
	*(void **)(&next) = card_next("rte_eth_dev_configure");
	card_asked_tx = c.txmode.offloads;
	card_asked_rx = c.rxmode.offloads;
	c.txmode.offloads &= ~card_tx;
	c.rxmode.offloads &= ~card_rx;
	return next(port, nrx, ntx, &c);
}

static void card_ports(uint16_t spec_src, uint16_t spec_dst, uint16_t mask_src, uint16_t mask_dst)
{
	card_rule.sport = rte_be_to_cpu_16(spec_src);
	card_rule.dport = rte_be_to_cpu_16(spec_dst);
	card_rule.sport_mask = mask_src;
	card_rule.dport_mask = mask_dst;
}

/* card_item notes an item of a pattern. */
static void card_item(const struct rte_flow_item *i)
{
	struct card_rule *r = &card_rule;
	switch ((int)i->type) {
	case RTE_FLOW_ITEM_TYPE_ETH:
		r->eth++;
		if (i->spec != NULL) {
			r->ether_type = rte_be_to_cpu_16(((const struct rte_flow_item_eth *)i->spec)->hdr.ether_type);
			r->ether_mask = ((const struct rte_flow_item_eth *)i->mask)->hdr.ether_type;
		}
		break;
	case RTE_FLOW_ITEM_TYPE_IPV4:
		r->ip4++;
		if (i->spec != NULL) {
			const struct rte_flow_item_ipv4 *s = i->spec, *m = i->mask;
			memcpy(r->src, &s->hdr.src_addr, 4);
			memcpy(r->dst, &s->hdr.dst_addr, 4);
			memcpy(r->src_mask, &m->hdr.src_addr, 4);
			memcpy(r->dst_mask, &m->hdr.dst_addr, 4);
			r->proto = s->hdr.next_proto_id;
			r->proto_mask = m->hdr.next_proto_id;
		}
		break;
	case RTE_FLOW_ITEM_TYPE_IPV6:
		r->ip6++;
		if (i->spec != NULL) {
			const struct rte_flow_item_ipv6 *s = i->spec, *m = i->mask;
			memcpy(r->src, &s->hdr.src_addr, 16);
			memcpy(r->dst, &s->hdr.dst_addr, 16);
			memcpy(r->src_mask, &m->hdr.src_addr, 16);
			memcpy(r->dst_mask, &m->hdr.dst_addr, 16);
			r->proto = s->hdr.proto;
			r->proto_mask = m->hdr.proto;
		}
		break;
	case RTE_FLOW_ITEM_TYPE_TCP: {
		const struct rte_flow_item_tcp *s = i->spec, *m = i->mask;
		r->tcp++;
		card_ports(s->hdr.src_port, s->hdr.dst_port, m->hdr.src_port, m->hdr.dst_port);
		break;
	}
	case RTE_FLOW_ITEM_TYPE_UDP: {
		const struct rte_flow_item_udp *s = i->spec, *m = i->mask;
		r->udp++;
		card_ports(s->hdr.src_port, s->hdr.dst_port, m->hdr.src_port, m->hdr.dst_port);
		break;
	}
	}
}

int rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	int (*next)(uint16_t, const struct rte_flow_attr *, const struct rte_flow_item *, const struct rte_flow_action *,
		struct rte_flow_error *);
	*(void **)(&next) = card_next("rte_flow_validate");
	return card_takes ? 0 : next(port, attr, pattern, actions, error);
}

struct rte_flow *rte_flow_create(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct rte_flow *(*next)(uint16_t, const struct rte_flow_attr *, const struct rte_flow_item *,
		const struct rte_flow_action *, struct rte_flow_error *);
	*(void **)(&next) = card_next("rte_flow_create");
	if (!card_takes) {
		return next(port, attr, pattern, actions, error);
	}
	memset(&card_rule, 0, sizeof(card_rule));
	card_rule.ingress = attr->ingress && !attr->egress;
	for (; pattern->type != RTE_FLOW_ITEM_TYPE_END; pattern++) {
		card_item(pattern);
	}
	if (actions[0].type == RTE_FLOW_ACTION_TYPE_QUEUE && actions[1].type == RTE_FLOW_ACTION_TYPE_END) {
		card_rule.queue = ((const struct rte_flow_action_queue *)actions[0].conf)->index;
	} else {
		card_rule.queue = UINT16_MAX;
	}
	card_in_force++;
	return (struct rte_flow *)(uintptr_t)&card_rule;
}

int rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error)
{
	int (*next)(uint16_t, struct rte_flow *, struct rte_flow_error *);
	*(void **)(&next) = card_next("rte_flow_destroy");
	if (!card_takes) {
		return next(port, flow, error);
	}
	card_in_force--;
	return 0;
}

static int card_room, card_hosts_n, card_groups_n;
static struct rte_ether_addr card_host[CARD_MOST], card_group[CARD_MOST];

void card_addresses(int on)
{
	card_room = on;
	card_hosts_n = card_groups_n = 0;
}

int card_hosts(uint8_t (*to)[6])
{
	memcpy(to, card_host, sizeof(card_host[0]) * (size_t)card_hosts_n);
	return card_hosts_n;
}

int card_groups(uint8_t (*to)[6])
{
	memcpy(to, card_group, sizeof(card_group[0]) * (size_t)card_groups_n);
	return card_groups_n;
}

int rte_eth_dev_mac_addr_add(uint16_t port, struct rte_ether_addr *a, uint32_t vmdq)
{
	int (*next)(uint16_t, struct rte_ether_addr *, uint32_t);
	*(void **)(&next) = card_next("rte_eth_dev_mac_addr_add");
	if (!card_room) {
		return next(port, a, vmdq);
	}
	if (card_hosts_n == CARD_MOST) {
		return -ENOSPC;
	}
	card_host[card_hosts_n++] = *a;
	return 0;
}

int rte_eth_dev_mac_addr_remove(uint16_t port, struct rte_ether_addr *a)
{
	int (*next)(uint16_t, struct rte_ether_addr *);
	int i;
	*(void **)(&next) = card_next("rte_eth_dev_mac_addr_remove");
	if (!card_room) {
		return next(port, a);
	}
	for (i = 0; i < card_hosts_n; i++) {
		if (rte_is_same_ether_addr(&card_host[i], a)) {
			card_hosts_n--;
			memmove(&card_host[i], &card_host[i + 1], sizeof(*a) * (size_t)(card_hosts_n - i));
			break;
		}
	}
	return 0;
}

int rte_eth_dev_set_mc_addr_list(uint16_t port, struct rte_ether_addr *list, uint32_t n)
{
	int (*next)(uint16_t, struct rte_ether_addr *, uint32_t);
	*(void **)(&next) = card_next("rte_eth_dev_set_mc_addr_list");
	if (!card_room) {
		return next(port, list, n);
	}
	if (n > CARD_MOST) {
		return -ENOSPC;
	}
	if (n != 0) {
		memcpy(card_group, list, sizeof(*list) * n);
	}
	card_groups_n = (int)n;
	return 0;
}
