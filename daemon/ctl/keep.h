/* SPDX-License-Identifier: Apache-2.0
 * What the control plane has its keeper hold, so that clients outlive the stack process: the descriptors of each session, each
 * waiter, each control connection and each exported socket, under names made of a letter (XT_KEEP_*), the session's id and a number. */
#ifndef XT_CTL_KEEP_H
#define XT_CTL_KEEP_H

#include "daemon/app/app.h"

struct xt_ctl;
struct xt_client;

#define XT_KEEP_NAME 24

/* "l00010001" for a ledger, "w00010001.12" for waiter 12's. Letters 'l', 'm' and 'b' take no number. */
void xt_keep_name(char out[XT_KEEP_NAME], char what, uint32_t id, uint32_t n);

/* A client has a session, or a proc of one: keeps its control connection, and the session with the first one. */
void xt_keep_session(struct xt_client *cl);
void xt_keep_client(struct xt_client *cl);
void xt_keep_waiter(const struct xt_ctl *c, const struct xt_session *s, uint32_t waiter);
void xt_keep_forget_waiter(const struct xt_ctl *c, const struct xt_session *s, uint32_t waiter);

/* Descriptors of exported socket `slot`, by their letter. */
void xt_keep_export(const struct xt_ctl *c, const struct xt_session *s, char what, uint32_t slot, int fd);
void xt_keep_forget_export(const struct xt_ctl *c, const struct xt_session *s, char what, uint32_t slot);

/* The client's proc, or the session, ends: nothing of it is kept any more. Before its memory goes. */
void xt_keep_forget_client(struct xt_client *cl);
void xt_keep_forget_session(struct xt_ctl *c, const struct xt_session *s);

#endif
