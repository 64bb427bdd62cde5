/* SPDX-License-Identifier: Apache-2.0
 * TCP Fast Open (RFC 7413) in libxtcp. Errors are negative errno. */
#ifndef XTCP_FASTOPEN_H
#define XTCP_FASTOPEN_H

#include "libclient/internal.h"

#define XTCP_FASTOPEN_KEY_LEN 16

/* Bits of slot.misc (the others are in opts.c). */
#define XTCP_MISC_FASTOPEN_NO_COOKIE 0x40u
#define XTCP_MISC_FASTOPEN_CONNECT 0x80u

/* What a connect on the socket asks of Fast Open (XT_CONNECT_*): TCP_FASTOPEN_CONNECT. */
uint64_t xtcp_fastopen_connect_flags(const struct xt_slot *sl);

/* The first write: connects to where `c` says (a socket that waits for it has its peer already), with data in the SYN where a
 * cookie is known. Returns the bytes sent so, perhaps 0 when it has connected; -EINPROGRESS when it must not wait and
 * nothing was sent. */
ssize_t xtcp_fastopen_send(struct xtcp *x, int s, const struct iovec *iov, int n, int flags, struct xtcp_cmd *c);

/* A SYN that waits for the first write goes. */
int xtcp_fastopen_go(struct xtcp *x, int s);

/* TCP_FASTOPEN and its like. False: `name` is another option. */
bool xtcp_fastopen_setsockopt(struct xtcp *x, int s, int name, const void *val, socklen_t len, int *rc);
bool xtcp_fastopen_getsockopt(struct xtcp *x, int s, int name, void *val, socklen_t *len, int *rc);

#endif
