/* SPDX-License-Identifier: Apache-2.0
 * Sockets that the daemon holds for holders of a plain kernel descriptor. */
#ifndef XT_CTL_EXPORT_H
#define XT_CTL_EXPORT_H

#include "daemon/ctl/internal.h"

void xt_export_export(struct xt_request *r);
void xt_export_claim(struct xt_request *r);
void xt_export_join(struct xt_request *r);

/* A client of the session has gone: perhaps the last. */
void xt_export_client_gone(struct xt_ctl *c, const struct xt_session *s);
/* The session is over, and its memory about to go. */
void xt_export_session_ended(struct xt_ctl *c, const struct xt_session *s);
/* Goes on with those of a session that another stack process has left; after its clients. */
void xt_export_adopt(struct xt_ctl *c, struct xt_session *s, int (*take)(void *arg, uint32_t id, char what, uint32_t n),
                     void *arg);
/* Ends those that nobody holds, without waiting for the event that tells it. */
void xt_export_look(struct xt_ctl *c);
/* All of them: the control plane ends. */
void xt_export_end(struct xt_ctl *c);

#endif
