/* SPDX-License-Identifier: Apache-2.0
 * The scripted peer at its end of the veth: sends and receives frames, answers ARP, and checks what every frame must have. */
#ifndef PKT_WIREPEER_H
#define PKT_WIREPEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKT_PEER_ADDR 0x0a630002u  /* 10.99.0.2 */
#define PKT_STACK_ADDR 0x0a630001u /* 10.99.0.1 */

struct pkt_wire {
    int fd, ifindex;
    uint8_t mac[6], stack_mac[6];
    bool stack_known; /* stack_mac is */
    uint16_t pinged, ponged;
    const char *bad; /* what was wrong with a frame, or NULL */
    /* Called with the TCP part of each packet for the peer. */
    void (*tcp)(void *arg, const uint8_t *p, size_t len, uint8_t ecn);
    void *arg;
};

/* In the peer's namespace. False: errno says why. */
bool pkt_wire_open(struct pkt_wire *w, const char *ifname);

/* Takes in what comes until `deadline` (CLOCK_MONOTONIC, us), or until `done` says so; at least what is there already. */
void pkt_wire_pump(struct pkt_wire *w, uint64_t deadline, bool (*done)(void *arg), void *arg);

/* TCP header and payload; fills in the checksum. */
void pkt_wire_send_tcp(struct pkt_wire *w, uint8_t *p, size_t len, uint8_t ecn);
/* An ICMP error about a segment that the stack sent. */
void pkt_wire_send_error(struct pkt_wire *w, uint8_t type, uint8_t code, uint32_t mtu, uint16_t sport, uint16_t dport,
                         uint32_t seq);

/* Asks for the stack's hardware address; waits for it until `deadline`. */
bool pkt_wire_resolve(struct pkt_wire *w, uint64_t deadline);
/* Pings and waits for the answer: all frames sent before have then been handled. */
bool pkt_wire_sync(struct pkt_wire *w, uint64_t deadline);

uint64_t pkt_wire_now(void);

#endif
