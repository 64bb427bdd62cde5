/* SPDX-License-Identifier: Apache-2.0
 * Counters of the stack layer, drop reasons included: one list of name and meaning. */
#ifndef XT_STACK_STATS_H
#define XT_STACK_STATS_H

#include <stdint.h>

/* X(name, meaning). */
#define XT_STACK_STATS(X)                                                          \
    X(frames_in, "frames received")                                                \
    X(frames_out, "frames sent")                                                   \
    X(super_in, "frames received that were larger than the MTU")                   \
    X(placed_in, "of these, copied from the kernel straight to the receive ring")  \
    X(super_out, "frames sent that are to be segmented")                           \
    X(crew_out, "packets passed on to the shard that has their connection")        \
    X(crew_in, "packets that other shards have passed on to this one")             \
    X(drop_crew_full, "dropped: too many packets on their way between two shards") \
    X(local_segs, "segments between two sockets of this stack")                    \
    X(drop_short, "dropped: shorter than its headers say")                         \
    X(drop_ethertype, "dropped: neither ARP nor IPv4")                             \
    X(drop_bad_ip, "dropped: malformed IPv4 header")                               \
    X(drop_checksum_ip, "dropped: wrong IPv4 header checksum")                     \
    X(drop_checksum_tcp, "dropped: wrong TCP checksum")                            \
    X(drop_checksum_icmp, "dropped: wrong ICMP checksum")                          \
    X(drop_bad_tcp, "dropped: malformed TCP header")                               \
    X(drop_not_ours, "dropped: not to our address")                                \
    X(drop_source_route, "dropped: source route not completed, or not accepted")   \
    X(drop_min_ttl, "dropped: TTL below what the socket wants (IP_MINTTL)")        \
    X(routes_learned, "return routes taken from source-routed packets")            \
    X(drop_martian, "dropped: source address that no peer can have")               \
    X(drop_group, "dropped: TCP to a broadcast or multicast address")              \
    X(drop_protocol, "dropped: a transport protocol that is not served")           \
    X(drop_closed_port, "answered with a reset: no such connection or listener")   \
    X(drop_listener, "dropped: not a SYN that a listener takes")                   \
    X(drop_backlog, "dropped: SYN refused by the accept backlog")                  \
    X(cookies_sent, "SYNs answered with a cookie (RFC 4987)")                      \
    X(cookies_ok, "connections made from the ACK of a cookie")                     \
    X(cookies_bad, "ACKs for a listener that acknowledge no cookie of ours")       \
    X(cookies_full, "good cookies dropped: accept queue or table full")            \
    X(fastopen_cookies, "Fast Open cookies learned from peers (RFC 7413)")         \
    X(fastopen_blackholes, "times Fast Open paused: time-outs in a row with it")   \
    X(overloads, "times that what strangers sent was limited: too much waited")    \
    X(shed_syn, "dropped: SYNs, while strangers were limited")                     \
    X(sieved_syn, "likewise, by the kernel for us: reckoned from those it let in") \
    X(shed_stray, "dropped: other segments of no connection, likewise")            \
    X(shed_ip, "dropped: fragments, ICMP and what else there is, likewise")        \
    X(shed_arp, "dropped: ARP packets, likewise")                                  \
    X(syns_again, "SYNs that were dropped so, and came again")                     \
    X(drop_no_conns, "dropped: SYN with the connection table full")                \
    X(drop_no_bufs, "payload not taken: no memory for rings")                      \
    X(drop_no_ring, "not sent: the application has taken the send ring away")      \
    X(drop_tx_full, "not sent: the device was full")                               \
    X(drop_no_route, "not sent: no route")                                         \
    X(drop_no_neighbour, "not sent: the neighbour is not resolved")                \
    X(drop_local_full, "not sent: the queue of local segments was full")           \
    X(frags_in, "IPv4 fragments received")                                         \
    X(frags_done, "datagrams put together from fragments")                         \
    X(drop_frag_bad, "dropped: fragment of impossible place or length")            \
    X(drop_frag_dup, "dropped: fragment that was here before")                     \
    X(drop_frag_overlap, "dropped: datagram whose fragments overlap")              \
    X(drop_frag_many, "dropped: datagram in too many pieces")                      \
    X(drop_frag_full, "dropped: unfinished datagram gave way to a newer one")      \
    X(drop_frag_timeout, "dropped: datagram not completed in time")                \
    X(arp_in, "ARP packets received")                                              \
    X(arp_requests_out, "ARP requests sent, probes included")                      \
    X(arp_replies_out, "ARP replies sent")                                         \
    X(arp_announcements, "ARP probes and announcements of our own address")        \
    X(arp_conflicts, "ARP packets of another host that claims our address")        \
    X(arp_failed, "neighbours that did not answer")                                \
    X(arp_moved, "neighbours that have another hardware address now")              \
    X(arp_replaced, "neighbours forgotten for others: the table is full")          \
    X(arp_limited, "neighbours not asked for: too many asked for half-open peers") \
    X(arp_table_full, "neighbours not entered: the table is full of busy entries") \
    X(drop_bad_arp, "dropped: malformed ARP")                                      \
    X(icmp_in, "ICMP messages received")                                           \
    X(icmp_echo_replies, "ICMP echo requests answered")                            \
    X(icmp_errors_in, "ICMP errors handed to a connection")                        \
    X(icmp_errors_out, "ICMP errors sent")                                         \
    X(icmp_limited, "ICMP errors not sent: rate limit")                            \
    X(pmtu_learned, "path MTUs learned from ICMP")                                 \
    X(pmtu_used, "connections begun with a path MTU learned before")               \
    X(drop_icmp_mtu, "dropped: ICMP about a packet that fits the MTU it tells")    \
    X(drop_icmp_type, "dropped: ICMP type not served")                             \
    X(drop_icmp_stray, "dropped: ICMP error about no connection of ours")          \
    X(ports_exhausted, "connects and binds refused: no free port")                 \
    X(time_wait_reused, "TIME_WAIT connections replaced by a new SYN")             \
    X(time_wait_recycled, "TIME_WAIT connections replaced by an own connect")      \
    X(time_wait_dropped, "TIME_WAIT connections ended early: the table was full")  \
    X(fin_wait2_dropped, "FIN_WAIT2 connections of nobody ended early: likewise")  \
    X(orphans_dropped, "closed connections reset: too many of these")              \
    X(quarantined, "connections reset: two crashes in a row were at them")         \
    X(records_bad, "connections reset at the start: their record cannot be")

struct xt_stack_stats {
#define X(name, text) uint64_t name;
    XT_STACK_STATS(X)
#undef X
};

#endif
