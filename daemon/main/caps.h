/* SPDX-License-Identifier: Apache-2.0
 * Capabilities and user of the stack process. Each returns 0 or a negative errno. */
#ifndef XT_MAIN_CAPS_H
#define XT_MAIN_CAPS_H

#include <sys/types.h>

/* Gives up every capability but those for packet sockets (CAP_NET_RAW, CAP_NET_ADMIN) and for pinned memory (CAP_IPC_LOCK), for good:
 * the bounding set too, where that is allowed. Before threads are made. */
int xt_caps_reduce(void);

/* Likewise, and becomes that user, with that group alone. Root's to call. */
int xt_caps_reduce_as(uid_t uid, gid_t gid);

/* The calling thread gives up all. */
int xt_caps_drop(void);

#endif
