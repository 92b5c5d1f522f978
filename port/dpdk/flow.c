//go:build dpdk

#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_flow.h>

#include "dev.h"

static int sp_any(const uint8_t *b)
{
	static const uint8_t none[16];
	return memcmp(b, none, sizeof(none)) == 0;
}

/* sp_items are the pattern of a rule. */
struct sp_items {
	struct rte_flow_item item[4];
	struct rte_flow_item_eth eth, eth_mask;
	struct rte_flow_item_ipv4 ip4, ip4_mask;
	struct rte_flow_item_ipv6 ip6, ip6_mask;
	struct rte_flow_item_tcp tcp, tcp_mask;
	struct rte_flow_item_udp udp, udp_mask;
};

static void sp_item(struct rte_flow_item *i, enum rte_flow_item_type t, const void *spec, const void *mask)
{
	i->type = t;
	i->spec = spec;
	i->mask = mask;
}

static struct rte_flow_item *sp_item_ip(struct sp_items *s, struct rte_flow_item *i, const struct sp_rule *r)
{
	int any = sp_any(r->src_mask) && sp_any(r->dst_mask) && r->proto == 0;
	if (r->version == 4) {
		memcpy(&s->ip4.hdr.src_addr, r->src, 4);
		memcpy(&s->ip4.hdr.dst_addr, r->dst, 4);
		memcpy(&s->ip4_mask.hdr.src_addr, r->src_mask, 4);
		memcpy(&s->ip4_mask.hdr.dst_addr, r->dst_mask, 4);
		s->ip4.hdr.next_proto_id = r->proto;
		s->ip4_mask.hdr.next_proto_id = r->proto != 0 ? 0xff : 0;
		sp_item(i++, RTE_FLOW_ITEM_TYPE_IPV4, any ? NULL : &s->ip4, any ? NULL : &s->ip4_mask);
	} else if (r->version == 6) {
		memcpy(&s->ip6.hdr.src_addr, r->src, 16);
		memcpy(&s->ip6.hdr.dst_addr, r->dst, 16);
		memcpy(&s->ip6_mask.hdr.src_addr, r->src_mask, 16);
		memcpy(&s->ip6_mask.hdr.dst_addr, r->dst_mask, 16);
		s->ip6.hdr.proto = r->proto;
		s->ip6_mask.hdr.proto = r->proto != 0 ? 0xff : 0;
		sp_item(i++, RTE_FLOW_ITEM_TYPE_IPV6, any ? NULL : &s->ip6, any ? NULL : &s->ip6_mask);
	}
	return i;
}

static void sp_pattern(struct sp_items *s, const struct sp_rule *r)
{
	struct rte_flow_item *i = s->item;
	memset(s, 0, sizeof(*s));
	if (r->ether_type != 0) {
		s->eth.hdr.ether_type = rte_cpu_to_be_16(r->ether_type);
		s->eth_mask.hdr.ether_type = 0xffff;
		sp_item(i++, RTE_FLOW_ITEM_TYPE_ETH, &s->eth, &s->eth_mask);
	} else {
		sp_item(i++, RTE_FLOW_ITEM_TYPE_ETH, NULL, NULL);
	}
	i = sp_item_ip(s, i, r);
	if (r->proto == 6) {
		s->tcp.hdr.src_port = rte_cpu_to_be_16(r->sport);
		s->tcp.hdr.dst_port = rte_cpu_to_be_16(r->dport);
		s->tcp_mask.hdr.src_port = r->sport != 0 ? 0xffff : 0;
		s->tcp_mask.hdr.dst_port = r->dport != 0 ? 0xffff : 0;
		sp_item(i++, RTE_FLOW_ITEM_TYPE_TCP, &s->tcp, &s->tcp_mask);
	} else if (r->proto == 17) {
		s->udp.hdr.src_port = rte_cpu_to_be_16(r->sport);
		s->udp.hdr.dst_port = rte_cpu_to_be_16(r->dport);
		s->udp_mask.hdr.src_port = r->sport != 0 ? 0xffff : 0;
		s->udp_mask.hdr.dst_port = r->dport != 0 ? 0xffff : 0;
		sp_item(i++, RTE_FLOW_ITEM_TYPE_UDP, &s->udp, &s->udp_mask);
	}
	sp_item(i, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
}

void *sp_flow_create(uint16_t port, const struct sp_rule *r, char *why, uint32_t len)
{
	struct rte_flow_attr attr = {.ingress = 1};
	struct rte_flow_action_queue to = {.index = r->queue};
	struct rte_flow_action actions[2] = {
		{.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
		{.type = RTE_FLOW_ACTION_TYPE_END},
	};
	struct rte_flow_error e;
	struct sp_items s;
	void *f = NULL;
	memset(&e, 0, sizeof(e));
	sp_pattern(&s, r);
	if (rte_flow_validate(port, &attr, s.item, actions, &e) == 0) {
		f = rte_flow_create(port, &attr, s.item, actions, &e);
	}
	if (f == NULL) {
		snprintf(why, len, "%s", e.message != NULL ? e.message : rte_strerror(rte_errno));
	}
	return f;
}

int sp_flow_destroy(uint16_t port, void *flow, char *why, uint32_t len)
{
	struct rte_flow_error e;
	int err;
	memset(&e, 0, sizeof(e));
	if ((err = rte_flow_destroy(port, flow, &e)) != 0) {
		snprintf(why, len, "%s", e.message != NULL ? e.message : rte_strerror(rte_errno));
	}
	return err;
}
