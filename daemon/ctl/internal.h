/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the control plane only. Everything runs on the control thread but for xt_job.work. */
#ifndef XT_CTL_INTERNAL_H
#define XT_CTL_INTERNAL_H

#include <sys/queue.h>

#include "daemon/ctl/ctl.h"
#include "daemon/ctl/privilege.h"
#include "proto/xt_ctl.h"
#include "proto/xt_msg.h"

#define XT_CTL_BURST 16                      /* messages taken from one client before the others get their turn */
#define XT_CTL_SILENCE_US UINT64_C(10000000) /* how long a connection may wait with its first message */

struct xt_job;
struct xt_exporter;
struct xt_foreign;

/* One connection to the control socket: a process of a family, or an administrator. */
struct xt_client {
    struct xt_ctl *ctl;
    LIST_ENTRY(xt_client) link;
    uv_poll_t poll;
    int fd;
    pid_t pid; /* for display */
    uid_t uid;
    gid_t gid;
    bool closing;
    bool spoke;                 /* a message has come */
    unsigned vain;              /* times in a row that a message was announced and none was there */
    uint64_t since_us;          /* accepted */
    bool revived;               /* of the last stack process; nothing has come from it since */
    struct xt_session *session; /* NULL: not attached */
    uint32_t proc;
    struct xt_kin kin;  /* whose family it is to attach to, and where; family 0: its own */
    bool numbered;      /* the request has an "n" */
    uint64_t number;    /* which the reply repeats */
    struct xt_job *job; /* a request that waits for the data plane; nothing is read meanwhile */
};

/* A message for the data plane that found its queue full. */
struct xt_waiting_msg {
    STAILQ_ENTRY(xt_waiting_msg) link;
    struct xt_msg msg;
};

struct xt_ctl {
    struct xt_ctl_cfg cfg;
    gid_t admin_gid; /* (gid_t)-1: none */
    struct xt_low_ports low_ports;
    uint64_t started_us;
    uv_loop_t loop;
    uv_poll_t listener, news; /* news: from the data plane */
    uv_timer_t silence;
    struct {
        uv_poll_t poll;
        int fd; /* -1: not watched */
        int ifindex;
        unsigned state;
        int mtu;                /* as last looked at */
        bool shared;            /* the kernel has our address, too */
    } link;                     /* link.c */
    struct xt_foreign *foreign; /* closes what clients have sent */
    int spare;                  /* a descriptor, to have one when there are no others; -1: used just now */
    uv_timer_t retry;           /* while `waiting` is not empty, or accept() ran out of descriptors */
    LIST_HEAD(, xt_client) clients;
    unsigned nclients;
    uint64_t dropped; /* clients disconnected for what they said here, or did not */
    LIST_HEAD(, xt_job) jobs;
    STAILQ_HEAD(, xt_waiting_msg) waiting;
    LIST_HEAD(, xt_exporter) exporters; /* export.c */
    unsigned nexports;
    uint8_t in[XT_CTL_MAX], out[XT_CTL_MAX];
};

/* ---- client.c ---- */

/* Takes over `fd`. NULL when there is no room for it (it is closed then). */
struct xt_client *xt_client_new(struct xt_ctl *c, int fd, pid_t pid, uid_t uid, gid_t gid);
/* Of the last stack process: there is always room. */
struct xt_client *xt_client_revive(struct xt_ctl *c, int fd, pid_t pid, uid_t uid);
/* Closes the connection; its proc ends. Safe to call twice. */
void xt_client_close(struct xt_client *cl);
/* Drops those that connected long ago and have not said a word. */
void xt_client_drop_silent(struct xt_ctl *c, uint64_t now_us);
/* Logs why, then closes. */
void xt_client_drop(struct xt_client *cl, const char *why);
/* Sends the message in `o`; a client that does not take it is dropped. */
void xt_client_send(struct xt_client *cl, struct xt_msg_out *o, const int *fds, unsigned nfds);
/* A reply under construction in the control plane's buffer, "ok" already in it. */
void xt_client_begin(struct xt_client *cl, struct xt_msg_out *o);
void xt_client_ok(struct xt_client *cl);
/* {ok: false}: `rc` is a negative errno, the words are for people. */
void xt_client_error(struct xt_client *cl, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Reads on after a job. */
void xt_client_resume(struct xt_client *cl);
/* ---- server.c ---- */

/* What there may be again a moment later. */
bool xt_ctl_is_want(int err);

/* Posts to m->shard, or queues for later: never lost, order kept. */
void xt_ctl_post(struct xt_ctl *c, const struct xt_msg *m);

/* ---- link.c ---- */

/* Where netlink cannot be had at all it does without; fails (-errno) when there is only none just now. */
int xt_link_start(struct xt_ctl *c);
void xt_link_stop(struct xt_ctl *c);
/* "up", "no carrier", "down", "removed", or "unknown". */
const char *xt_link_state(const struct xt_ctl *c);

/* ---- request.c ---- */

struct xt_request {
    struct xt_client *client;
    const struct xt_msg_in *msg;
    struct xt_msg_anc *anc; /* a handler that takes a descriptor sets its entry to -1 */
};

/* One datagram of a client. */
void xt_request_handle(struct xt_client *cl, const void *buf, size_t len, struct xt_msg_anc *anc);

/* Handlers; each replies (or starts a job that will). */
void xt_attach_attach(struct xt_request *r);
/* True when the request is of this ABI; else it has been answered. */
bool xt_attach_abi(struct xt_request *r);
/* The answer to a client that has a session now; XT_NO_SLOT: no slot in it; `beside` -1: no further descriptor. */
void xt_attach_welcome(struct xt_client *cl, uint32_t slot, int beside);
void xt_attach_waiter(struct xt_request *r);
void xt_attach_fork(struct xt_request *r);
/* A connection more, by which the client is to attach to another shard, too. */
void xt_attach_beside(struct xt_request *r);
void xt_attach_hello(struct xt_request *r);
/* Answers when whoever hung up before the client asked has been noticed, and the data plane told. */
void xt_attach_settle(struct xt_request *r);
void xt_admin_status(struct xt_request *r);
/* admin_defences.c: a member of the reply to status. */
void xt_admin_put_defences(struct xt_msg_out *o, const struct xt_stack_stats *stack, const struct xt_tcp_stats *tcp);
void xt_admin_list(struct xt_request *r);
void xt_admin_users(struct xt_request *r);
void xt_admin_show(struct xt_request *r);
void xt_admin_close(struct xt_request *r);
void xt_admin_flush_time_wait(struct xt_request *r);
void xt_admin_stats(struct xt_request *r);
/* Adds up the counters of two structs that have nothing else: `size` bytes of uint64_t. */
void xt_ctl_add(void *sum, const void *more, size_t size);
void xt_admin_config(struct xt_request *r);
void xt_admin_config_set(struct xt_request *r);
void xt_admin_rules(struct xt_request *r);
void xt_admin_upgrade(struct xt_request *r);
void xt_admin_capture(struct xt_request *r);

/* ---- job.c ---- */

/* A request that needs the data plane: shard by shard, the first one first. First member of the request's own struct, which is allocated zeroed by xt_job_new(). */
struct xt_job {
    LIST_ENTRY(xt_job) link;
    struct xt_ctl *ctl;
    struct xt_client *client;       /* NULL: it has gone meanwhile, or none asked */
    bool more;                      /* set by work(): call it again, after the others had their turn */
    bool one;                       /* no further shard is asked */
    uint32_t shard;                 /* which one is, just now */
    void (*work)(struct xt_job *j); /* on the data plane: short */
    void (*reply)(struct xt_job *j, struct xt_client *cl); /* sends the answer; NULL: nobody waits */
};

void *xt_job_new(struct xt_ctl *c, struct xt_client *cl, size_t size, void (*work)(struct xt_job *),
                 void (*reply)(struct xt_job *, struct xt_client *));
void xt_job_start(struct xt_job *j);
/* For work(): what belongs to the shard that it is called in. */
struct xt_stack *xt_job_stack(const struct xt_job *j);
struct xt_app *xt_job_app(const struct xt_job *j);

/* ---- text.c ---- */

#define XT_ENDPOINT_TEXT 64

/* "10.77.0.2:80"; "*:80" for the unspecified address, "*" for port 0. */
void xt_text_endpoint(const struct xt_endpoint *e, char *out, size_t size);
void xt_text_mac(const uint8_t mac[6], char *out, size_t size);

#endif
