/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/tcpinfo.h"

#include <string.h>

#include "proto/xt_state.h"

#define NO_SSTHRESH 0x7fffffffu /* Linux's word for "not yet known" */
#define DAEMON_NO_SSTHRESH (1u << 30)
#define INIT_CWND 10u

/* Bits of a connection's options as the daemon numbers them. */
enum { WSCALE = 0x02, SACK = 0x04, TIMESTAMPS = 0x08 };

/* Fields behind those that every header of today knows, as places in xtcp_tcp_info.word. */
enum { RCV_WND = 58, TOTAL_RTO = 60, TOTAL_RTO_TIME = 61 };

static_assert(offsetof(struct tcp_info, tcpi_snd_wnd) == 4 * (RCV_WND - 1), "struct tcp_info");

/* Linux's numbers of the states. It keeps TIME_WAIT apart from the socket, which is closed by then. */
static uint8_t linux_state(uint32_t state)
{
    static const uint8_t numbers[XT_NSTATES] = {
        [XT_CLOSED] = 7,      [XT_LISTEN] = 10,    [XT_SYN_SENT] = 2,  [XT_SYN_RECV] = 3,
        [XT_ESTABLISHED] = 1, [XT_CLOSE_WAIT] = 8, [XT_FIN_WAIT1] = 4, [XT_CLOSING] = 11,
        [XT_LAST_ACK] = 9,    [XT_FIN_WAIT2] = 5,  [XT_TIME_WAIT] = 7,
    };
    return state < XT_NSTATES ? numbers[state] : 7;
}

static uint8_t linux_options(const struct xt_tcp_info_abi *a)
{
    uint8_t o = 0;
    if (a->state != XT_CLOSED && a->state != XT_LISTEN) {
        o |= a->options & TIMESTAMPS ? TCPI_OPT_TIMESTAMPS : 0;
        o |= a->options & SACK ? TCPI_OPT_SACK : 0;
        o |= a->options & WSCALE ? TCPI_OPT_WSCALE : 0;
        o |= a->ecn & 1 ? TCPI_OPT_ECN : 0;
        o |= a->ecn & 2 ? TCPI_OPT_ECN_SEEN : 0;
        o |= a->fo & 1 ? TCPI_OPT_SYN_DATA : 0;
    }
    return o;
}

/* Linux counts windows in segments, the daemon in bytes. */
static void fill_windows(struct tcp_info *t, const struct xt_tcp_info_abi *a)
{
    uint32_t mss = a->snd_mss ? a->snd_mss : 536;
    t->tcpi_unacked = a->unacked;
    t->tcpi_sacked = a->sacked;
    t->tcpi_lost = a->lost + a->rexmit; /* what was lost counts until it is acknowledged */
    t->tcpi_retrans = a->rexmit;
    t->tcpi_snd_ssthresh = a->ssthresh >= DAEMON_NO_SSTHRESH ? NO_SSTHRESH : a->ssthresh / mss;
    t->tcpi_snd_cwnd = a->cwnd / mss;
    t->tcpi_reordering = a->reordering;
    t->tcpi_notsent_bytes = a->notsent;
    t->tcpi_snd_wnd = a->snd_wnd;
    /* What Linux begins with, as long as nothing was measured. */
    t->tcpi_rcv_space = a->rcv_space                         ? a->rcv_space
                        : a->rcv_wnd < INIT_CWND * a->advmss ? a->rcv_wnd
                                                             : INIT_CWND * a->advmss;
    t->tcpi_rcv_ssthresh = a->rcv_wnd;
}

static void fill_times(struct tcp_info *t, const struct xt_tcp_info_abi *a)
{
    t->tcpi_rto = a->rto;
    t->tcpi_ato = a->ato;
    t->tcpi_last_data_sent = a->last_data_sent_ms;
    t->tcpi_last_data_recv = a->last_data_recv_ms;
    t->tcpi_last_ack_recv = a->last_ack_recv_ms;
    t->tcpi_rtt = a->srtt;
    t->tcpi_rttvar = a->rttvar;
    t->tcpi_rcv_rtt = a->rcv_space ? a->srtt : 0; /* what the reader's rounds are taken from */
    t->tcpi_min_rtt = a->min_rtt ? a->min_rtt : UINT32_MAX;
    t->tcpi_busy_time = a->busy_ms * 1000ull;
    t->tcpi_rwnd_limited = a->rwnd_ms * 1000ull;
    t->tcpi_sndbuf_limited = a->sndbuf_ms * 1000ull;
}

static void fill_counts(struct tcp_info *t, const struct xt_tcp_info_abi *a)
{
    t->tcpi_total_retrans = a->retrans;
    t->tcpi_bytes_sent = a->bytes_sent;
    t->tcpi_bytes_retrans = a->bytes_retrans;
    t->tcpi_bytes_acked = a->bytes_acked;
    t->tcpi_bytes_received = a->bytes_received;
    t->tcpi_segs_out = (uint32_t)a->segs_out;
    t->tcpi_segs_in = (uint32_t)a->segs_in;
    t->tcpi_data_segs_out = a->data_segs_out;
    t->tcpi_data_segs_in = a->data_segs_in;
    t->tcpi_delivered = a->delivered;
    t->tcpi_delivered_ce = a->delivered_ce;
    t->tcpi_dsack_dups = a->dsacks;
    t->tcpi_reord_seen = a->reord_seen;
    t->tcpi_rcv_ooopack = a->ooo_segs;
}

void xtcp_tcp_info_fill(struct xtcp_tcp_info *out, const struct xt_tcp_info_abi *a)
{
    memset(out, 0, sizeof *out);
    struct tcp_info *t = &out->t;
    t->tcpi_state = linux_state(a->state);
    t->tcpi_ca_state = (uint8_t)a->ca_state;
    t->tcpi_retransmits = (uint8_t)a->timeouts;
    t->tcpi_probes = (uint8_t)a->probes;
    t->tcpi_backoff = (uint8_t)a->backoff;
    t->tcpi_options = linux_options(a);
    t->tcpi_snd_wscale = a->snd_wscale & 15;
    t->tcpi_rcv_wscale = a->rcv_wscale & 15;
    t->tcpi_delivery_rate_app_limited = a->rate_limited & 1;
    t->tcpi_fastopen_client_fail = a->fo >> 1 & 3;
    t->tcpi_snd_mss = a->snd_mss;
    t->tcpi_rcv_mss = a->rcv_mss;
    t->tcpi_advmss = a->advmss;
    t->tcpi_pmtu = a->pmtu;
    t->tcpi_pacing_rate = a->pacing_rate;
    t->tcpi_delivery_rate = a->delivery_rate;
    fill_windows(t, a);
    fill_times(t, a);
    fill_counts(t, a);
    out->word[RCV_WND] = a->rcv_wnd;
    out->word[TOTAL_RTO] = (a->rtos & 0xffff) | a->rto_spells << 16;
    out->word[TOTAL_RTO_TIME] = a->rto_ms;
}
