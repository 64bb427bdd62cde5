/* SPDX-License-Identifier: Apache-2.0
 * Shared by export.c (the making and the end of exported sockets) and export_relay.c (their bytes). */
#ifndef XT_CTL_EXPORT_INTERNAL_H
#define XT_CTL_EXPORT_INTERNAL_H

#include "daemon/app/ledger.h"
#include "daemon/app/relay.h"
#include "daemon/ctl/export.h"

#define XT_EXPORT_RETRY_MS 1 /* while a process is in the middle of a copy */

struct xt_exporter {
    LIST_ENTRY(xt_exporter) link;
    struct xt_ctl *ctl;
    struct xt_relay relay;
    uv_poll_t news;
    uv_timer_t retry; /* rings or the mailbox could not be had at once */
    unsigned retry_ms;
    bool left; /* no process of the family is left */
    bool closing;
    unsigned open_handles;
    unsigned n;
    LIST_HEAD(, xt_export) exports;
};

struct xt_export {
    LIST_ENTRY(xt_export) link;
    struct xt_exporter *home;
    uv_poll_t poll;
    struct xt_pexport *entry; /* in the ledger: what a successor must know */
    uint32_t slot;
    ino_t ino; /* of `a` */
    int b, kept;
    int beside;     /* what goes with a listener: a descriptor of the program's, or -1 */
    bool listener;  /* or bound and about to be one: it has no bytes */
    bool wanted;    /* to be relayed */
    bool active;    /* the rings are the relay's */
    bool announced; /* their other users have been told */
    bool eof_out;   /* all that will ever come has been given to the holders */
    bool eof_in;    /* the holders write no more */
    bool finished;  /* and the connection knows */
    bool closing;
};

/* Ends one. `ended`: the session is over, its memory about to go. Its home stays: see xt_export_settle(). */
void xt_export_close(struct xt_export *e, bool ended);
void xt_export_drop_kept(struct xt_export *e);
/* Closes the exporter with its last socket. Not from within a walk over its exports. */
void xt_export_settle(struct xt_exporter *x);

/* The exporter of a session: the one that there is, or one with a relay that is open. NULL: no memory. */
bool xt_export_has_client(struct xt_ctl *c, const struct xt_session *s);
struct xt_exporter *xt_export_find_home(struct xt_ctl *c, const struct xt_session *s);
struct xt_exporter *xt_export_new_home(struct xt_ctl *c, const struct xt_relay *r);
/* Ends a relay that has no exporter, or has one no more. */
void xt_export_end_relay(struct xt_ctl *c, struct xt_relay *r);
/* Makes one of a slot that the session's processes hold. Returns 0, -ENOBUFS, -EMFILE, -ENOMEM. */
int xt_export_make(struct xt_ctl *c, struct xt_session *s, uint32_t slot, struct xt_export **out);
/* One with these ends, of a slot that the relay holds; takes them over. NULL: no memory. */
struct xt_export *xt_export_new(struct xt_exporter *x, struct xt_pexport *entry, uint32_t slot, int b, int kept);

/* ---- export_relay.c ---- */

/* Waits for these UV_* events of `b`; 0: none. */
void xt_export_watch(struct xt_export *e, int events);
/* Begins to relay, at once or as soon as the rings can be had. */
void xt_export_activate(struct xt_export *e);
/* No process of its family is left: who holds `a` has it alone. */
void xt_export_left(struct xt_export *e);
/* Takes the news of the session's sockets from now on. */
void xt_export_start(struct xt_exporter *x);

#endif
