/* SPDX-License-Identifier: Apache-2.0
 * Figures of struct tcp_info by name. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "tests/packet/script/sock_calls.h"

#define FIGURE(n)                                                                         \
    {                                                                                     \
#n, offsetof(struct tcp_info, tcpi_##n), sizeof(((struct tcp_info *)0)->tcpi_##n) \
    }

static const struct {
    const char *name;
    size_t at, size;
} figures[] = {FIGURE(ca_state),       FIGURE(retransmits),   FIGURE(probes),        FIGURE(backoff),
               FIGURE(options),        FIGURE(rto),           FIGURE(ato),           FIGURE(snd_mss),
               FIGURE(rcv_mss),        FIGURE(unacked),       FIGURE(sacked),        FIGURE(lost),
               FIGURE(retrans),        FIGURE(pmtu),          FIGURE(snd_ssthresh),  FIGURE(snd_cwnd),
               FIGURE(advmss),         FIGURE(reordering),    FIGURE(total_retrans), FIGURE(bytes_acked),
               FIGURE(bytes_received), FIGURE(notsent_bytes), FIGURE(data_segs_in),  FIGURE(data_segs_out),
               FIGURE(segs_in),        FIGURE(delivered),     FIGURE(delivered_ce),  FIGURE(bytes_sent),
               FIGURE(bytes_retrans),  FIGURE(dsack_dups),    FIGURE(reord_seen),    FIGURE(rcv_ooopack),
               FIGURE(snd_wnd),        FIGURE(rtt),           FIGURE(rttvar),        FIGURE(busy_time),
               FIGURE(rwnd_limited)};

long pkt_sock_info(struct pkt_sock *s, const char *name)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    uint64_t v = 0;
    if (s->conn < 0)
        return -EBADF;
    int rc = s->ops->getsockopt(s->x, s->conn, IPPROTO_TCP, TCP_INFO, &info, &len);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        if (strcmp(figures[i].name, name) != 0)
            continue;
        memcpy(&v, (const char *)&info + figures[i].at, figures[i].size); /* little endian, as are all hosts here */
        return v > INT32_MAX ? INT32_MAX : (long)v;
    }
    return -ENOENT;
}
