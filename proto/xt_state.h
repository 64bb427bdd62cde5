/* SPDX-License-Identifier: Apache-2.0
 * The eleven TCP states (RFC 9293 section 3.3.2), shared by daemon, library and tools. */
#ifndef XT_STATE_H
#define XT_STATE_H

/* Ordered so that predicates are comparisons: >= XT_SYN_RECV has a peer, >= XT_ESTABLISHED is synchronised,
 * >= XT_FIN_WAIT1 has closed its own side. */
enum xt_state {
    XT_CLOSED,
    XT_LISTEN,
    XT_SYN_SENT,
    XT_SYN_RECV,
    XT_ESTABLISHED,
    XT_CLOSE_WAIT,
    XT_FIN_WAIT1,
    XT_CLOSING,
    XT_LAST_ACK,
    XT_FIN_WAIT2,
    XT_TIME_WAIT,
    XT_NSTATES
};

/* The name of a state as spelled everywhere ("FIN_WAIT1"); "?" when out of range. */
static inline const char *xt_state_name(unsigned state)
{
    static const char *const names[XT_NSTATES] = {
        [XT_CLOSED] = "CLOSED",       [XT_LISTEN] = "LISTEN",           [XT_SYN_SENT] = "SYN_SENT",
        [XT_SYN_RECV] = "SYN_RECV",   [XT_ESTABLISHED] = "ESTABLISHED", [XT_CLOSE_WAIT] = "CLOSE_WAIT",
        [XT_FIN_WAIT1] = "FIN_WAIT1", [XT_CLOSING] = "CLOSING",         [XT_LAST_ACK] = "LAST_ACK",
        [XT_FIN_WAIT2] = "FIN_WAIT2", [XT_TIME_WAIT] = "TIME_WAIT",
    };
    return state < XT_NSTATES ? names[state] : "?";
}

#endif
