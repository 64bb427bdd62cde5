/* SPDX-License-Identifier: Apache-2.0
 * The control socket: AF_UNIX, SOCK_SEQPACKET, one message = one msgpack map, at most XT_CTL_MAX bytes.
 * A request has "op"; a reply has "ok": true, or "ok": false with "errno" (positive) and "error" (one line for people).
 *
 *   attach  {op, abi: uint, comm: str}
 *           -> {ok, abi, session: uint, proc: uint, rules: str (see xt_rules.h)} with descriptors: region memfd, doorbell eventfd, xt_global memfd
 *           A daemon with several shards says how many, and which one serves the session: shards: uint, shard: uint.
 *           Another abi is refused with EPROTONOSUPPORT and words that name both versions.
 *   waiter  {op} -> {ok, waiter: uint} with its eventfd. For the proc that this connection belongs to.
 *   fork    {op} with one end of an AF_UNIX SOCK_SEQPACKET pair made by the parent -> {ok, proc: uint}
 *           That end becomes the control connection of the child's proc; the child keeps the other end.
 *   beside  {op, shard: uint} with one end of such a pair -> {ok, shard}. Of a daemon with several shards: who attaches by the other end
 *           has a session of that shard whose sockets may have the ports of this family's.
 *   export  {op, slot: uint, now: bool} -> {ok, slot} with an AF_UNIX stream end that stands for the socket in programs that
 *           know nothing of xtcp. Its peer's name is "\0xtcp/<epoch>/<random>/<c or l>/<local>/<remote>" ("l": a
 *           listener). Bytes are relayed at once (now), or from when such a program writes, or when no process of the
 *           family holds the socket any more, or when it is claimed. The processes of the family then find XT_LOCK_RELAY
 *           in the slot's locks; export gives them the same end, with which they go on.
 *           A descriptor that comes with the request (the kernel's half of a listener) is kept beside a listener's end.
 *   claim   {op} with such an end -> {ok, slot}: relay now. Attached or not.
 *   join    {op, abi, comm} with such an end that is not relayed yet -> as attach, and slot: uint: the process is one more of
 *           the family, and holds the socket. For the family's user only. From a process of the family: -> {ok, slot}. What is kept
 *           beside the end comes as one more descriptor.
 *   hello   {op, comm: str}: no reply. First message of a forked child; its pid comes by SCM_CREDENTIALS.
 *   rules   {op} -> {ok, address: str, rules: str}
 *
 * Any request may have {n: uint}, which its reply repeats: a stack process that dies when it has just answered has a successor that
 * answers once more, so a reply with another n is to be skipped.
 *
 * A control connection that closes is a process that died (or detached, or called exec): its proc ends.
 * Everything else ("status", "list", ...) is administration: see daemon/ctl. */
#ifndef XT_CTL_H
#define XT_CTL_H

#include <stdint.h>

#define XT_VERSION "0.1.0"
#define XT_CTL_PATH "/run/xtcp/xtcpd.sock" /* default; $XTCP_SOCKET overrides in clients */
#define XT_CTL_MAX 65536

/* "capture": before each frame. */
struct xt_capture_rec {
    uint64_t us;   /* when, by the monotonic clock */
    uint32_t len;  /* of the frame */
    uint32_t have; /* bytes of it, which follow */
};

#endif
