/* SPDX-License-Identifier: Apache-2.0
 * Counters of the TCP core: one list gives the code, the counter and the text. None of the reasons to drop is silent. */
#ifndef XT_TCP_STATS_H
#define XT_TCP_STATS_H

#include <stdint.h>

/* X(name, meaning). The author of daemon/tcp extends this list. */
#define XT_TCP_STATS(X)                                                                                 \
    X(segs_in, "segments received by connections")                                                      \
    X(segs_out, "segments sent, each part of a super-segment counted")                                  \
    X(retrans_segs, "segments sent again")                                                              \
    X(resets_sent, "resets sent")                                                                       \
    X(resets_received, "resets accepted")                                                               \
    X(active_opens, "connections opened by connect")                                                    \
    X(passive_opens, "connections opened by a peer's SYN")                                              \
    X(state_changes, "changes of state")                                                                \
    X(bad_events, "events that the state table has no transition for (a defect)")                       \
    X(acks_sent, "ACKs sent without data")                                                              \
    X(dup_acks_in, "duplicate ACKs received")                                                           \
    X(challenge_acks, "ACKs of what is out of place: blind attacks, but probes of a closed window too") \
    X(challenge_limited, "such ACKs held back, within half a second of the one before")                 \
    X(fast_recoveries, "fast recoveries entered")                                                       \
    X(rto_timeouts, "retransmission time-outs")                                                         \
    X(undone_recoveries, "fast recoveries found needless by D-SACK and undone (RFC 3708)")              \
    X(undone_timeouts, "time-outs found needless by time stamps and undone (RFC 3522)")                 \
    X(rack_lost, "segments found lost by time (RACK, RFC 8985)")                                        \
    X(rack_timer_losses, "times the reordering timer found losses")                                     \
    X(rack_rtx_lost, "retransmissions found lost in their turn")                                        \
    X(reo_wnd_grown, "reordering windows widened after a D-SACK")                                       \
    X(tlp_probes, "tail loss probes sent")                                                              \
    X(tlp_repairs, "losses that a tail loss probe repaired")                                            \
    X(tlp_needless, "tail loss probes that nothing had been lost for")                                  \
    X(frto_undone, "time-outs found needless by F-RTO and undone (RFC 5682)")                           \
    X(acks_coalesced, "duplicate ACKs that a later one of the same batch made needless")                \
    X(dsacks_in, "duplicates reported by the peer (RFC 2883)")                                          \
    X(dsacks_out, "duplicates reported to the peer")                                                    \
    X(ooo_segs, "segments received out of order and kept")                                              \
    X(probes_sent, "zero-window probes sent")                                                           \
    X(keep_probes_sent, "keep-alive probes sent")                                                       \
    X(delayed_acks, "ACKs sent by the delay timer")                                                     \
    X(timed_out, "connections given up: retransmission, keep-alive or user time-out")                   \
    X(time_wait_reused, "TIME_WAIT connections replaced by a new SYN (RFC 6191)")                       \
    X(icmp_errors, "ICMP errors accepted")                                                              \
    X(icmp_ignored, "ICMP errors ignored: sequence number not in flight (RFC 5927)")                    \
    X(deferred, "ACKs of a SYN+ACK not taken: the listener waits for data")                             \
    X(ecn_conns, "connections that agreed on ECN (RFC 3168)")                                           \
    X(ecn_marks_in, "segments received with a congestion mark")                                         \
    X(ecn_reductions, "windows reduced because the peer echoed a congestion mark")                      \
    X(pmtu_lowered, "ICMP messages that lowered a path's MTU (RFC 1191)")                               \
    X(pmtu_black_holes, "MSS lowered because full segments got no answer (RFC 4821)")                   \
    X(pmtu_probes, "segments that tried a larger MSS")                                                  \
    X(pmtu_raised, "MSS raised because such a segment arrived")                                         \
    X(fastopen_active, "connections whose SYN carried data that the peer took (RFC 7413)")              \
    X(fastopen_active_fail, "connections whose SYN carried data in vain")                               \
    X(fastopen_passive, "connections served before their handshake was over")                           \
    X(fastopen_passive_alt, "of these, by a cookie of the key before")                                  \
    X(fastopen_passive_fail, "SYNs with a Fast Open cookie that is not ours")                           \
    X(fastopen_cookie_reqs, "SYNs that asked for a Fast Open cookie")                                   \
    X(fastopen_overflow, "SYNs not fast-opened: as many as allowed were pending")                       \
    X(drop_seq, "dropped: outside the receive window, probes of a closed one included")                 \
    X(drop_ack, "dropped: acknowledges what was not sent")                                              \
    X(drop_no_ack, "dropped: no ACK bit in a synchronised state")                                       \
    X(drop_paws, "dropped: old time stamp (PAWS, RFC 7323 section 5)")                                  \
    X(drop_no_ts, "dropped: no time stamp though negotiated (RFC 7323 section 3.2)")                    \
    X(drop_rst, "dropped: reset outside the window or with a wrong ACK")                                \
    X(drop_syn_sent, "dropped: neither SYN nor reset in SYN_SENT")                                      \
    X(drop_listen, "dropped: neither SYN nor ACK for a listener")                                       \
    X(drop_rst_pending, "dropped: the connection is being reset")                                       \
    X(drop_closed, "dropped: the connection is CLOSED")                                                 \
    X(drop_ooo_full, "payload not taken: too many out-of-order ranges")                                 \
    X(drop_no_room, "payload not taken: no ring or no room in it")                                      \
    X(drop_after_fin, "payload ignored: after the peer's FIN")                                          \
    X(trim_window, "payload cut: beyond the offered window")

struct xt_tcp_stats {
#define X(name, text) uint64_t name;
    XT_TCP_STATS(X)
#undef X
};

#endif
