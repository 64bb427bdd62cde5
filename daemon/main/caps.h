/* SPDX-License-Identifier: Apache-2.0
 * What the stack process may do, beyond an ordinary process of its user. */
#ifndef XT_MAIN_CAPS_H
#define XT_MAIN_CAPS_H

/* Gives up every capability but those for packet sockets (CAP_NET_RAW, CAP_NET_ADMIN) and for pinned memory (CAP_IPC_LOCK), for good:
 * the bounding set too, where that is allowed. Before threads are made. Returns 0 or -EPERM. */
int xt_caps_reduce(void);

#endif
