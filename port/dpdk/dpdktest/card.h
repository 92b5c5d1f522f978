/* What a card says that no virtual device says, and what it is told. */
#ifndef CARD_H
#define CARD_H

#include <stdint.h>

/* card_pretend has every device say from now on that it can do these offloads, too.
 * What it is then asked for, it is not told. Zero twice: no more. */
void card_pretend(uint64_t tx, uint64_t rx);

/* card_asked are the offloads that the last device was configured with. */
void card_asked(uint64_t *tx, uint64_t *rx);

/* card_rules has every device take all rules from now on, or none but its own. */
void card_rules(int on);

/* A rule that was taken. */
struct card_rule {
	uint16_t queue;
	uint8_t ingress;
	uint8_t eth, ip4, ip6, tcp, udp; /* items of the pattern: how many */
	uint8_t proto, proto_mask;
	uint16_t ether_type, ether_mask, sport, sport_mask, dport, dport_mask;
	uint8_t src[16], src_mask[16], dst[16], dst_mask[16];
};

/* card_last is the last rule that was taken; it returns how many are in force. */
int card_last(struct card_rule *r);

/* card_addresses has every device take addresses and groups from now on, or none but
 * those that it has room for. card_hosts are the addresses that were added and not
 * removed, in order; card_groups the groups of the last call. They return how many. */
enum { CARD_MOST = 64 };
void card_addresses(int on);
int card_hosts(uint8_t (*to)[6]);
int card_groups(uint8_t (*to)[6]);

#endif
