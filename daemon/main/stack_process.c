/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/stack_process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/base/macros.h"
#include "daemon/base/rand.h"
#include "daemon/base/time.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/keep.h"
#include "daemon/main/confine.h"
#include "daemon/main/counters.h"
#include "daemon/main/effective.h"
#include "daemon/main/keeper.h"
#include "daemon/main/kept.h"
#include "daemon/main/layout.h"
#include "daemon/main/notify.h"
#include "daemon/main/shard.h"
#include "daemon/main/standby.h"
#include "daemon/main/watchdog.h"

struct process {
    const struct xt_start *cfg;
    struct xt_config config; /* as at the start */
    struct xt_handed handed;
    int settings_fd;
    struct xt_kept state;
    int listen_fd;        /* until the control plane has it */
    struct xt_crew *crew; /* NULL with one shard */
    struct xt_app *app[XT_CREW_MAX];
    struct xt_shard *shard[XT_CREW_MAX];
    struct xt_ctl *ctl;
    uid_t owner; /* who started it */
    uv_signal_t term, interrupt, hangup, quiet;
    struct xt_watchdog watchdog;
    struct xt_session **sessions; /* of the last stack process */
    unsigned nsessions;
};

/* What the keeper says; 0 without one. */
static uint32_t env_number(const char *name)
{
    const char *text = getenv(name);
    return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* ---- state ---- */

/* How many connections each shard has. */
static uint32_t share(const struct xt_config *c)
{
    struct xt_stack_cfg one;
    xt_config_stack(c, &one);
    return one.max_conns;
}

static size_t state_size(const struct xt_config *c)
{
    return xt_layout_state_size(0, share(c), c->shards);
}

static int take_state(struct process *p)
{
    char err[256];
    size_t size = state_size(&p->config);
    int fd = xt_handed_take(&p->handed, "state"), rc;
    if (fd >= 0) {
        rc = xt_kept_open(&p->state, fd, size, err, sizeof err);
        if (rc == 0)
            return 0;
        xt_log_warn("%s%s", err, rc == -EPROTO ? ": starting without it" : "");
        if (rc != -EPROTO)
            return rc; /* the next process may have more luck */
    }
    rc = xt_kept_new(&p->state, size);
    if (rc < 0) {
        xt_log_error("no memory for %u connections: %s (lower max-connections)", p->config.max_connections,
                     strerror(-rc));
        return rc;
    }
    xt_notify_forget("state");
    rc = xt_notify_store("state", p->state.fd);
    if (rc < 0)
        xt_log_warn("the keeper does not take the state: %s", strerror(-rc));
    return 0;
}

/* ---- data plane ---- */

/* Of the kept descriptors that each shard has one of: those of the first have plain names. */
static const char *shard_name(char name[XT_FDSTORE_NAME_MAX], const char *what, uint32_t shard)
{
    snprintf(name, XT_FDSTORE_NAME_MAX, shard ? "%s-%u" : "%s", what, shard);
    return name;
}

static int make_app(struct process *p, uint32_t k)
{
    const struct xt_config *c = &p->config;
    char name[XT_FDSTORE_NAME_MAX];
    struct xt_app_cfg ac = {
        .max_slots = c->max_sockets,
        .max_sessions = c->max_clients,
        .arena = c->arena,
        .sndbuf = c->sndbuf,
        .sndbuf_max = c->sndbuf_max,
        .rcvbuf = c->rcvbuf,
        .rcvbuf_max = c->rcvbuf_max,
        .buf_idle_us = c->buffer_idle,
        .bufmax = c->bufmax,
        .somaxconn = c->somaxconn,
        .spin_us = c->client_spin,
        .global_fd = xt_handed_take(&p->handed, shard_name(name, "global", k)),
        .first = p->app[0],
    };
    int rc = xt_app_new(&p->app[k], &ac);
    if (rc < 0) {
        xt_log_error("cannot make the application layer: %s", strerror(-rc));
        return rc;
    }
    if (ac.global_fd <= 0)
        xt_notify_store(name, xt_app_global_fd(p->app[k]));
    xt_app_global(p->app[k])->epoch = p->state.page->epoch;
    xt_app_global(p->app[k])->addr_be = c->address.addr;
    return 0;
}

static int make_apps(struct process *p)
{
    int rc = 0;
    for (uint32_t k = 0; rc == 0 && k < p->config.shards; k++)
        rc = make_app(p, k);
    return rc;
}

static int take_kept(void *arg, uint32_t id, char what, uint32_t n)
{
    struct process *p = arg;
    char name[XT_KEEP_NAME];
    xt_keep_name(name, what, id, n);
    return xt_handed_take(&p->handed, name);
}

/* Clients of the last stack process, by their ledgers. One that cannot be taken over loses its connections and learns it by the end
 * of its control connection; but what is only not to be had just now may be there for the next process. */
static int take_sessions(struct process *p)
{
    const char *name;
    unsigned cursor = 0;
    p->sessions = calloc(p->handed.n + 1, sizeof(struct xt_session *));
    if (!p->sessions)
        return -ENOMEM;
    while ((name = xt_handed_next(&p->handed, XT_KEEP_LEDGER, &cursor))) {
        int rc = xt_session_open(p->app[0], xt_handed_take(&p->handed, name), take_kept, p, &p->sessions[p->nsessions]);
        if (rc == 0)
            p->nsessions++;
        else
            xt_log_warn("client %s cannot be taken over: %s", name, strerror(-rc));
        if (rc < 0 && rc != -EPROTO && rc != -ENOBUFS)
            return rc;
    }
    xt_app_on_end(p->app[0], xt_ctl_session_ended);
    return 0;
}

/* A socket of the fan-out group, or -1. */
static int packet_group(struct process *p, uint32_t k)
{
    char name[XT_FDSTORE_NAME_MAX];
    return k ? xt_shard_packet_fd(p->shard[0]) : xt_handed_peek(&p->handed, shard_name(name, "packet", 1));
}

static int start_shard(struct process *p, uint32_t k, char *err, size_t errlen)
{
    const struct xt_config *c = &p->config;
    char name[XT_FDSTORE_NAME_MAX];
    struct xt_shard_cfg sc = {
        .pktio = {.ifname = c->interface,
                  .rx_mode = c->rx_mode ? XT_RX_MULTISHOT : XT_RX_RING,
                  .rx_frames = c->rx_frames,
                  .tx_frames = c->tx_frames,
                  .fd = xt_handed_take(&p->handed, shard_name(name, "packet", k)),
                  .place = &p->state.page->place[k],
                  .devices = c->shards,
                  .group = packet_group(p, k)},
        .spin_us = c->spin,
        .follow = c->follow,
        .state = (char *)p->state.stack + k * (state_size(c) / c->shards),
        .crew = p->crew,
        .shard = k,
    };
    xt_config_stack(c, &sc.stack);
    sc.stack.crashed = env_number(XT_ENV_CRASHED) != 0;
    memcpy(sc.pktio.mac, c->mac, sizeof sc.pktio.mac);
    memcpy(sc.key, p->state.page->key, sizeof sc.key);
    int rc = xt_shard_start(&p->shard[k], &sc, p->app[k], err, errlen);
    if (rc == 0 && xt_shard_packet_fd(p->shard[k]) != sc.pktio.fd) {
        xt_notify_forget(name);
        xt_notify_store(name, xt_shard_packet_fd(p->shard[k]));
    }
    return rc;
}

static void stop_shards(struct process *p)
{
    for (uint32_t k = 0; k < XT_CREW_MAX; k++)
        if (p->shard[k])
            xt_shard_stop(p->shard[k]);
    for (uint32_t k = 0; k < XT_CREW_MAX; k++) {
        if (p->shard[k])
            xt_shard_free(p->shard[k]);
        p->shard[k] = NULL;
    }
    xt_crew_free(p->crew);
    p->crew = NULL;
}

static int start_shards(struct process *p, char *err, size_t errlen)
{
    int rc = p->config.shards > 1 ? xt_crew_new(&p->crew, p->config.shards) : 0;
    for (uint32_t k = 0; rc == 0 && k < p->config.shards; k++)
        rc = start_shard(p, k, err, errlen);
    if (rc < 0)
        stop_shards(p);
    return rc;
}

/* What belongs to nobody is kept no longer: a client that waits on such a control connection learns that it has ended. */
static void drop_rest(struct process *p)
{
    for (unsigned i = 0; i < p->handed.n; i++)
        if (p->handed.item[i].fd >= 0)
            xt_notify_forget(p->handed.item[i].name);
    xt_handed_free(&p->handed);
}

/* A state whose records this release cannot read is put aside and a new one made. */
static int start_data_plane(struct process *p)
{
    char err[256] = "";
    int rc = start_shards(p, err, sizeof err);
    if (rc == -EPROTO) {
        xt_log_warn("the kept connections have another layout: starting without them");
        xt_kept_close(&p->state);
        rc = take_state(p); /* what was handed over is taken already: this makes a new one */
        for (uint32_t k = 0; rc == 0 && k < p->config.shards; k++)
            xt_app_global(p->app[k])->epoch = p->state.page->epoch;
        if (rc == 0)
            rc = start_shards(p, err, sizeof err);
    }
    if (rc < 0)
        xt_log_error("%s", *err ? err : strerror(-rc));
    return rc;
}

/* ---- control plane ---- */

static struct xt_stack *host_stack(void *arg, uint32_t shard)
{
    struct xt_shard *const *shards = arg;
    return xt_shard_stack(shards[shard]);
}

static int take_listener(struct process *p)
{
    const char *path = p->config.socket;
    char err[256];
    int fd = xt_handed_take(&p->handed, "control");
    if (fd >= 0 && xt_ctl_listens_at(fd, path)) {
        p->listen_fd = fd;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    fd = xt_ctl_listen(path, err, sizeof err);
    p->listen_fd = fd;
    if (fd < 0) {
        xt_log_error("%s", err);
        return fd;
    }
    xt_notify_forget("control");
    int rc = xt_notify_store("control", fd);
    if (rc < 0)
        xt_log_warn("the keeper does not take the control socket: %s", strerror(-rc));
    return 0;
}

/* Only xtcpd's own keeper can do it. */
static int ask_upgrade(const char *path, const int *fds, unsigned nfds)
{
    char text[1200];
    if (!getenv(XT_ENV_KEEPER))
        return -EOPNOTSUPP;
    snprintf(text, sizeof text, XT_SAY_UPGRADE "\n" XT_SAY_PATH "%s", path);
    return xt_notify_send(text, fds, nfds);
}

static int make_ctl(struct process *p)
{
    struct xt_ctl_cfg cc = {
        .app = p->app[0],
        .host = {.stack = host_stack, .counters = xt_main_counters, .arg = p->shard},
        .config = p->config,
        .settings_fd = p->settings_fd,
        .listen_fd = p->listen_fd,
        .owner = p->owner,
        .epoch = p->state.page->epoch,
        .keep = {.store = xt_notify_store,
                 .forget = xt_notify_forget,
                 .barrier = xt_notify_barrier,
                 .upgrade = ask_upgrade},
        .restarts = env_number(XT_ENV_RESTARTS),
        .crashes = env_number(XT_ENV_CRASHES),
    };
    p->listen_fd = -1;
    int rc = xt_ctl_new(&p->ctl, &cc);
    if (rc < 0)
        xt_log_error("cannot start the control plane: %s", strerror(-rc));
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < p->nsessions; i++)
        xt_ctl_adopt(p->ctl, p->sessions[i], take_kept, p);
    drop_rest(p);
    return 0;
}

static void on_stop(uv_signal_t *h, int sig)
{
    struct process *p = h->data;
    xt_log_info("stopping: %s", strsignal(sig));
    xt_ctl_stop(p->ctl);
}

static void on_hangup(uv_signal_t *h, int sig)
{
    struct process *p = h->data;
    struct xt_config fresh;
    char err[512];
    struct xt_handed none = {0};
    int rc = xt_effective_settings(p->cfg, &none, &fresh, err, sizeof err);
    if (rc < 0)
        xt_log_error("the configuration stays as it is: %s", err);
    else
        xt_ctl_reload(p->ctl, &fresh);
}

/* A successor waits: it goes on from what is kept, as after a kill, but nothing is half done. This process stands still until it is
 * ended; should the successor fail, another one follows, which does not know how far that one came. */
static void on_quiet(uv_signal_t *h, int sig)
{
    struct process *p = h->data;
    for (uint32_t k = 0; k < p->config.shards; k++)
        xt_shard_quiet(p->shard[k]);
    xt_notify(XT_SAY_QUIET);
    signal(SIGTERM, SIG_DFL);
    for (;;)
        pause();
}

static void watch_signal(struct process *p, uv_signal_t *h, int sig, uv_signal_cb cb)
{
    h->data = p;
    uv_signal_init(xt_ctl_loop(p->ctl), h);
    uv_signal_start(h, cb, sig);
}

static void serve(struct process *p)
{
    const struct xt_config *c = &p->config;
    watch_signal(p, &p->term, SIGTERM, on_stop);
    watch_signal(p, &p->interrupt, SIGINT, on_stop);
    watch_signal(p, &p->hangup, SIGHUP, on_hangup);
    watch_signal(p, &p->quiet, SIGUSR1, on_quiet);
    xt_effective_say(c, p->state.page->epoch);
    xt_notify("READY=1\nSTATUS=serving"); /* from here on there is no way back to another binary */
    for (uint32_t k = 0; k < c->shards; k++)
        xt_shard_run(p->shard[k]);
    xt_watchdog_start(&p->watchdog, xt_ctl_loop(p->ctl), p->app[0]);
    xt_ctl_run(p->ctl);
    xt_notify("STOPPING=1");
    xt_notify_forget("settings"); /* who starts it again means the file */
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    uv_close((uv_handle_t *)&p->hangup, NULL);
    uv_close((uv_handle_t *)&p->quiet, NULL);
    xt_watchdog_stop(&p->watchdog);
}

/* ---- life ---- */

/* Files and directories are open. systemd has chosen the user itself. */
static int change_user(struct process *p)
{
    const char *keeper = getenv(XT_ENV_KEEPER);
    int rc = xt_confine_user(&p->config, keeper != NULL);
    if (rc < 0 || !keeper)
        return rc;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* the kernel has forgotten it with the change of user */
    return getppid() == (pid_t)strtol(keeper, NULL, 10) ? 0 : -ECANCELED;
}

/* A failure, for want of memory, is the keeper's to mend: an orderly end would have it forget the clients. */
static void confine(struct process *p)
{
    xt_confine_thread();
    if (xt_confine_calls(&p->config) < 0)
        _exit(XT_EXIT_FAILED);
}

/* As a candidate for an upgrade: all that can be done while another process serves. */
static int stand_by(struct process *p)
{
    char err[256], text[320];
    int feed = xt_standby_feed();
    if (feed < 0)
        return 0;
    int rc = xt_standby_check(&p->handed, share(&p->config), p->config.shards, err, sizeof err);
    if (rc == 0) {
        rc = xt_standby_wait(feed, &p->handed);
        if (rc == 0) /* they may have changed meanwhile */
            rc = xt_effective_settings(p->cfg, &p->handed, &p->config, err, sizeof err);
    } else {
        snprintf(text, sizeof text, XT_SAY_REFUSED "%s", err);
        xt_notify(text);
    }
    close(feed);
    return rc;
}

static int run(struct process *p)
{
    int rc = stand_by(p);
    if (rc == 0)
        p->settings_fd = xt_effective_keep(&p->handed, &p->config);
    if (rc == 0)
        rc = xt_layout_renew(&p->handed);
    if (rc == 0)
        rc = take_state(p);
    if (rc == 0)
        rc = take_listener(p);
    if (rc == 0)
        rc = change_user(p);
    if (rc == 0)
        rc = make_apps(p);
    if (rc == 0)
        rc = take_sessions(p);
    if (rc == 0)
        rc = start_data_plane(p);
    if (rc == 0)
        rc = make_ctl(p);
    if (rc < 0)
        return rc;
    confine(p);
    serve(p);
    return 0;
}

/* The data plane ends first: nothing then uses what the others free. */
static void tear_down(struct process *p)
{
    stop_shards(p);
    if (p->ctl)
        xt_ctl_free(p->ctl);
    for (uint32_t k = XT_CREW_MAX; k-- > 0;)
        if (p->app[k])
            xt_app_free(p->app[k]);
    if (p->state.page)
        xt_kept_close(&p->state);
    if (p->listen_fd >= 0)
        close(p->listen_fd);
    if (p->settings_fd >= 0)
        close(p->settings_fd);
    xt_handed_free(&p->handed);
    free(p->sessions);
}

int xt_stack_process_run(const struct xt_start *cfg, struct xt_handed *h, const struct xt_config *c)
{
    struct process *p = calloc(1, sizeof *p);
    if (!p)
        return XT_EXIT_FAILED;
    p->cfg = cfg;
    p->config = *c;
    p->handed = *h;
    memset(h, 0, sizeof *h);
    p->listen_fd = p->settings_fd = -1;
    p->owner = geteuid();
    signal(SIGPIPE, SIG_IGN);
    setenv("UV_USE_IO_URING", "0", 1); /* newer releases of libuv would make a ring that can do anything */
    int rc = xt_notify_open();
    if (rc < 0)
        xt_log_error("the keeper cannot be reached: %s", strerror(-rc));
    else
        rc = run(p);
    tear_down(p);
    free(p);
    return rc < 0 ? XT_EXIT_FAILED : XT_EXIT_OK;
}
