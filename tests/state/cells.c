/* SPDX-License-Identifier: Apache-2.0
 * Expected values, from the text of RFC 9293 section 3.10.7 with the three checks of RFC 5961 that it takes over.
 *
 * The segments, with R = RCV.NXT, N = SND.NXT, and F the highest acknowledgement that leaves our FIN unacknowledged:
 *   SYN           <SEQ=R+1><SYN>, in the window but not at its edge (without a window: the peer's initial SYN)
 *   SYN+ACK       the same with <ACK=N>
 *   ACK           <SEQ=R><ACK=N>: all that was sent is acknowledged
 *   data          <SEQ=R><ACK=F> and 100 bytes
 *   FIN           <SEQ=R><ACK=F><FIN>; where the peer's FIN was taken already, that FIN again: <SEQ=R-1>
 *   RST           <SEQ=R><RST>; in SYN_SENT <ACK=N><RST,ACK>
 *   out of window <SEQ=R+RCV.WND+1000><ACK=N> and 100 bytes; in SYN_SENT <ACK=N+1000> (what was never sent)
 *   old duplicate <SEQ=R-100><ACK=F> and 100 bytes; in SYN_SENT a SYN+ACK with <ACK=ISS-500> of an earlier connection
 *                 (section 3.5.1, figure 8 turned round), in SYN_RECV the SYN that opened it, in LISTEN and CLOSED
 *                 data */
#include "tests/state/cells.h"

#include <errno.h>

#include "daemon/tcp/tcp.h"

const char *const grid_kinds[K_KINDS] = {
    [K_SYN] = "SYN", [K_SYNACK] = "SYN+ACK", [K_ACK] = "ACK",           [K_DATA] = "data",
    [K_FIN] = "FIN", [K_RST] = "RST",        [K_OUT] = "out of window", [K_OLD] = "old duplicate",
};

#define QUIET(state)                   \
    {                                  \
        .given = true, .next = (state) \
    }
#define SENDS(state, f, s, a)                                                \
    {                                                                        \
        .given = true, .next = (state), .flags = (f), .seq = (s), .ack = (a) \
    }
/* <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>: for what is unacceptable, and RFC 5961's challenge */
#define CHALLENGE(state) SENDS(state, XT_TH_ACK, Q_SND_NXT, A_RCV_NXT)
/* <SEQ=SEG.ACK><CTL=RST> */
#define RESETS(state) SENDS(state, XT_TH_RST, Q_SEG_ACK, A_NONE)
#define ACKS(state, ev)                                                                                        \
    {                                                                                                          \
        .given = true, .next = (state), .flags = XT_TH_ACK, .seq = Q_SND_NXT, .ack = A_SEG_END, .events = (ev) \
    }
#define ENDS(ev, error)                                                                 \
    {                                                                                   \
        .given = true, .next = XT_CLOSED, .events = XT_EV_CLOSED | (ev), .err = (error) \
    }
#define MOVES(state, ev)                               \
    {                                                  \
        .given = true, .next = (state), .events = (ev) \
    }

const struct cell grid_cells[XT_NSTATES][K_KINDS] = {
    [XT_CLOSED] = /* 3.10.7.1 */
    {
        [K_SYN] = SENDS(XT_CLOSED, XT_TH_RST | XT_TH_ACK, Q_ZERO, A_SEG_END),
        [K_SYNACK] = RESETS(XT_CLOSED),
        [K_ACK] = RESETS(XT_CLOSED),
        [K_DATA] = RESETS(XT_CLOSED),
        [K_FIN] = RESETS(XT_CLOSED),
        [K_RST] = QUIET(XT_CLOSED),
        [K_OUT] = RESETS(XT_CLOSED),
        [K_OLD] = RESETS(XT_CLOSED),
    },
    [XT_LISTEN] = /* 3.10.7.2: RST ignored, then any ACK is bad, then SYN */
    {
        [K_SYN] = SENDS(XT_SYN_RECV, XT_TH_SYN | XT_TH_ACK, Q_ISS, A_SEG_END),
        [K_SYNACK] = RESETS(XT_LISTEN),
        [K_ACK] = RESETS(XT_LISTEN),
        [K_DATA] = RESETS(XT_LISTEN),
        [K_FIN] = RESETS(XT_LISTEN),
        [K_RST] = QUIET(XT_LISTEN),
        [K_OUT] = RESETS(XT_LISTEN),
        [K_OLD] = RESETS(XT_LISTEN),
    },
    [XT_SYN_SENT] = /* 3.10.7.3 */
    {
        [K_SYN] = SENDS(XT_SYN_RECV, XT_TH_SYN | XT_TH_ACK, Q_ISS, A_SEG_END), /* simultaneous open */
        [K_SYNACK] = ACKS(XT_ESTABLISHED, XT_EV_CONNECTED),
        [K_ACK] = QUIET(XT_SYN_SENT), /* fifth: neither SYN nor RST */
        [K_DATA] = QUIET(XT_SYN_SENT),
        [K_FIN] = QUIET(XT_SYN_SENT),
        [K_RST] = ENDS(XT_EV_ERROR, ECONNREFUSED),
        [K_OUT] = RESETS(XT_SYN_SENT),
        [K_OLD] = RESETS(XT_SYN_SENT),
    },
    [XT_SYN_RECV] = /* 3.10.7.4, of a passive open: back to LISTEN, which here means that the child ends */
    {
        [K_SYN] = ENDS(0, 0),
        [K_SYNACK] = ENDS(0, 0),
        [K_ACK] = MOVES(XT_ESTABLISHED, XT_EV_CONNECTED),
        [K_DATA] = ACKS(XT_ESTABLISHED, XT_EV_CONNECTED | XT_EV_READABLE),
        [K_FIN] = ACKS(XT_CLOSE_WAIT, XT_EV_CONNECTED | XT_EV_PEER_FIN),
        [K_RST] = ENDS(0, 0),
        [K_OUT] = CHALLENGE(XT_SYN_RECV),
        /* Section 3.10.7.4 asks for an ACK; the SYN+ACK is that ACK and more: it had been lost, or is on its way
         * still. */
        [K_OLD] = {.given = true, .next = XT_SYN_RECV, .flags = XT_TH_SYN | XT_TH_ACK, .seq = Q_ISS, .ack = A_RCV_NXT},
    },
    [XT_ESTABLISHED] =
        {
            [K_SYN] = CHALLENGE(XT_ESTABLISHED),
            [K_SYNACK] = CHALLENGE(XT_ESTABLISHED),
            [K_ACK] = QUIET(XT_ESTABLISHED),
            [K_DATA] = ACKS(XT_ESTABLISHED, XT_EV_READABLE),
            [K_FIN] = ACKS(XT_CLOSE_WAIT, XT_EV_PEER_FIN),
            [K_RST] = ENDS(XT_EV_ERROR, ECONNRESET),
            [K_OUT] = CHALLENGE(XT_ESTABLISHED),
            [K_OLD] = CHALLENGE(XT_ESTABLISHED),
        },
    [XT_CLOSE_WAIT] = /* text after the peer's FIN is ignored */
    {
        [K_SYN] = CHALLENGE(XT_CLOSE_WAIT),
        [K_SYNACK] = CHALLENGE(XT_CLOSE_WAIT),
        [K_ACK] = QUIET(XT_CLOSE_WAIT),
        [K_DATA] = QUIET(XT_CLOSE_WAIT),
        [K_FIN] = CHALLENGE(XT_CLOSE_WAIT),
        [K_RST] = ENDS(XT_EV_ERROR, EPIPE),
        [K_OUT] = CHALLENGE(XT_CLOSE_WAIT),
        [K_OLD] = CHALLENGE(XT_CLOSE_WAIT),
    },
    [XT_FIN_WAIT1] =
        {
            [K_SYN] = CHALLENGE(XT_FIN_WAIT1),
            [K_SYNACK] = CHALLENGE(XT_FIN_WAIT1),
            [K_ACK] = QUIET(XT_FIN_WAIT2),
            [K_DATA] = ACKS(XT_FIN_WAIT1, XT_EV_READABLE),
            [K_FIN] = ACKS(XT_CLOSING, XT_EV_PEER_FIN),
            [K_RST] = ENDS(XT_EV_ERROR, ECONNRESET),
            [K_OUT] = CHALLENGE(XT_FIN_WAIT1),
            [K_OLD] = CHALLENGE(XT_FIN_WAIT1),
        },
    [XT_CLOSING] =
        {
            [K_SYN] = CHALLENGE(XT_CLOSING),
            [K_SYNACK] = CHALLENGE(XT_CLOSING),
            [K_ACK] = MOVES(XT_TIME_WAIT, XT_EV_TIME_WAIT),
            [K_DATA] = QUIET(XT_CLOSING),
            [K_FIN] = CHALLENGE(XT_CLOSING),
            [K_RST] = ENDS(XT_EV_ERROR, ECONNRESET),
            [K_OUT] = CHALLENGE(XT_CLOSING),
            [K_OLD] = CHALLENGE(XT_CLOSING),
        },
    [XT_LAST_ACK] =
        {
            [K_SYN] = CHALLENGE(XT_LAST_ACK),
            [K_SYNACK] = CHALLENGE(XT_LAST_ACK),
            [K_ACK] = ENDS(0, 0),
            [K_DATA] = QUIET(XT_LAST_ACK),
            [K_FIN] = CHALLENGE(XT_LAST_ACK),
            [K_RST] = ENDS(XT_EV_ERROR, ECONNRESET),
            [K_OUT] = CHALLENGE(XT_LAST_ACK),
            [K_OLD] = CHALLENGE(XT_LAST_ACK),
        },
    [XT_FIN_WAIT2] =
        {
            [K_SYN] = CHALLENGE(XT_FIN_WAIT2),
            [K_SYNACK] = CHALLENGE(XT_FIN_WAIT2),
            [K_ACK] = QUIET(XT_FIN_WAIT2),
            [K_DATA] = ACKS(XT_FIN_WAIT2, XT_EV_READABLE),
            [K_FIN] = ACKS(XT_TIME_WAIT, XT_EV_PEER_FIN | XT_EV_TIME_WAIT),
            [K_RST] = ENDS(XT_EV_ERROR, ECONNRESET),
            [K_OUT] = CHALLENGE(XT_FIN_WAIT2),
            [K_OLD] = CHALLENGE(XT_FIN_WAIT2),
        },
    [XT_TIME_WAIT] = /* a new SYN ends it (RFC 6191) and goes to the listener; a reset too, as section 3.10.7.4 says */
    {
        [K_SYN] = ENDS(XT_EV_TIME_WAIT, 0),
        [K_SYNACK] = CHALLENGE(XT_TIME_WAIT),
        [K_ACK] = QUIET(XT_TIME_WAIT),
        [K_DATA] = QUIET(XT_TIME_WAIT),
        [K_FIN] = CHALLENGE(XT_TIME_WAIT),
        [K_RST] = ENDS(0, 0),
        [K_OUT] = CHALLENGE(XT_TIME_WAIT),
        [K_OLD] = CHALLENGE(XT_TIME_WAIT),
    },
};
