/* SPDX-License-Identifier: Apache-2.0
 * "defences" of "status": of all counters those that tell of a flood or of an attack, by what it is made of. "stats" has their meaning. */
#include <string.h>

#include "daemon/ctl/internal.h"

struct defence {
    const char *kind, *name;
    bool tcp; /* a counter of the core, else of the stack */
    size_t offset;
};

#define TCP(kind, name)                                        \
    {                                                          \
        kind, #name, true, offsetof(struct xt_tcp_stats, name) \
    }
#define STACK(kind, name)                                         \
    {                                                             \
        kind, #name, false, offsetof(struct xt_stack_stats, name) \
    }

/* Those of one kind stand together. */
static const struct defence defences[] = {
    STACK("overload", overloads),
    STACK("overload", shed_syn),
    STACK("overload", sieved_syn),
    STACK("overload", syns_again),
    STACK("overload", shed_stray),
    STACK("overload", shed_ip),
    STACK("overload", shed_arp),
    STACK("syn", cookies_sent),
    STACK("syn", cookies_ok),
    STACK("syn", cookies_full),
    STACK("syn", drop_backlog),
    STACK("syn", drop_no_conns),
    STACK("stray", cookies_bad),
    STACK("stray", drop_closed_port),
    STACK("stray", drop_listener),
    TCP("blind", challenge_acks),
    TCP("blind", challenge_limited),
    TCP("blind", drop_rst),
    TCP("blind", drop_seq),
    TCP("blind", drop_ack),
    TCP("blind", drop_no_ts),
    TCP("blind", drop_paws),
    TCP("data", drop_ooo_full),
    TCP("data", drop_no_room),
    STACK("fragment", frags_in),
    STACK("fragment", drop_frag_bad),
    STACK("fragment", drop_frag_overlap),
    STACK("fragment", drop_frag_many),
    STACK("fragment", drop_frag_full),
    STACK("fragment", drop_frag_timeout),
    STACK("arp", arp_in),
    STACK("arp", arp_moved),
    STACK("arp", arp_replaced),
    STACK("arp", arp_limited),
    STACK("arp", arp_table_full),
    STACK("arp", arp_conflicts),
    STACK("arp", drop_bad_arp),
    TCP("icmp", icmp_ignored),
    STACK("icmp", drop_icmp_stray),
    STACK("icmp", drop_icmp_mtu),
    STACK("icmp", drop_icmp_type),
    STACK("icmp", icmp_limited),
    TCP("idle", timed_out),
    STACK("idle", orphans_dropped),
    STACK("idle", time_wait_dropped),
    STACK("idle", fin_wait2_dropped),
};

void xt_admin_put_defences(struct xt_msg_out *o, const struct xt_stack_stats *stack, const struct xt_tcp_stats *tcp)
{
    const char *kind = NULL;
    xt_msg_map(o, "defences");
    for (unsigned i = 0; i < sizeof defences / sizeof *defences; i++) {
        const struct defence *d = &defences[i];
        const uint8_t *from = d->tcp ? (const uint8_t *)tcp : (const uint8_t *)stack;
        if (!kind || strcmp(kind, d->kind) != 0) {
            if (kind)
                xt_msg_close(o);
            kind = d->kind;
            xt_msg_map(o, kind);
        }
        xt_msg_uint(o, d->name, *(const uint64_t *)(const void *)(from + d->offset));
    }
    xt_msg_close(o);
    xt_msg_close(o);
}
