/* One trial of lwIP, both ends on the calling thread. */
#ifndef PEER_H
#define PEER_H

#include <stdint.h>

enum { WORK_BULK, WORK_RR, WORK_CPS, WORK_UDP, WORK_IDLE };

struct trial {
	int work;
	int conns;
	int size;        /* of a message, datagram or write */
	int mtu;
	int in_flight;   /* messages of WORK_RR under way at a time */
	int64_t warm;    /* ns */
	int64_t time;    /* ns */
	int64_t timeout; /* ns that the set-up may take */
	double result;   /* a second; for WORK_BULK bytes; for WORK_IDLE bytes in all */
	char fault[200]; /* why there is none */
};

/* lwip_trial returns 0, or -1 with the fault set. Once a process. */
int lwip_trial(struct trial *t);

#endif
