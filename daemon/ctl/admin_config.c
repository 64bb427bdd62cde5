/* SPDX-License-Identifier: Apache-2.0
 * "config", "config-set" and "rules", and the reload of the file. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log.h"
#include "daemon/ctl/internal.h"
#include "daemon/ctl/netif.h"
#include "daemon/ctl/settings.h"

void xt_admin_config(struct xt_request *r)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    char value[XT_CONFIG_TEXT_MAX];
    struct xt_msg_out o;
    xt_client_begin(r->client, &o);
    xt_msg_array(&o, "settings");
    for (; n--; k++) {
        xt_config_get(&r->client->ctl->cfg.config, k, value, sizeof value);
        xt_msg_map(&o, NULL);
        xt_msg_str(&o, "name", k->name);
        xt_msg_str(&o, "value", value);
        xt_msg_str(&o, "default", k->def);
        xt_msg_bool(&o, "runtime", k->runtime);
        xt_msg_str(&o, "text", k->help);
        xt_msg_close(&o);
    }
    xt_client_send(r->client, &o, NULL, 0);
}

/* What programs are told as they attach: no secret. */
void xt_admin_rules(struct xt_request *r)
{
    const struct xt_config *cfg = &r->client->ctl->cfg.config;
    char host[INET_ADDRSTRLEN];
    struct xt_msg_out o;
    xt_client_begin(r->client, &o);
    xt_msg_str(&o, "address", inet_ntop(AF_INET, &cfg->address.addr, host, sizeof host));
    xt_msg_str(&o, "rules", cfg->rules);
    xt_client_send(r->client, &o, NULL, 0);
}

/* ---- applying ---- */

struct reconfigure {
    struct xt_job job;
    struct xt_stack_cfg cfg;
    int rc;
};

static void reconfigure_work(struct xt_job *j)
{
    struct reconfigure *rec = (struct reconfigure *)j;
    int rc = xt_stack_reconfigure(xt_job_stack(j), &rec->cfg);
    rec->rc = rec->rc ? rec->rc : rc;
}

static void reconfigure_reply(struct xt_job *j, struct xt_client *cl)
{
    int rc = ((struct reconfigure *)j)->rc;
    if (rc < 0)
        xt_client_error(cl, rc, "the data plane refuses these settings: %s", strerror(-rc));
    else
        xt_client_ok(cl);
}

static void keep(const struct xt_ctl *c)
{
    int rc = c->cfg.settings_fd < 0 ? 0 : xt_settings_write(c->cfg.settings_fd, &c->cfg.config);
    if (rc < 0)
        xt_log_warn("control: the settings are not kept: %s", strerror(-rc));
}

/* Puts the configuration into effect. With a client, it gets the answer. */
static void apply(struct xt_ctl *c, struct xt_client *cl)
{
    const struct xt_config *cfg = &c->cfg.config;
    keep(c);
    xt_log_set_level((enum xt_log_level)cfg->log_level);
    for (uint32_t k = 0; k < xt_app_shards(c->cfg.app); k++)
        __atomic_store_n(&xt_app_global(xt_app_shard(c->cfg.app, k))->spin_us, cfg->client_spin, __ATOMIC_RELAXED);
    xt_privilege_apply(c);
    struct reconfigure *rec = xt_job_new(c, cl, sizeof *rec, reconfigure_work, cl ? reconfigure_reply : NULL);
    if (!rec)
        return;
    xt_config_stack(cfg, &rec->cfg);
    xt_job_start(&rec->job);
}

static void take_value(struct xt_config *to, const struct xt_config *from, const struct xt_setting *k)
{
    memcpy((char *)to + k->offset, (const char *)from + k->offset, k->width);
    if (k->type == XT_SET_ROUTE)
        to->nroutes = from->nroutes;
}

void xt_ctl_reload(struct xt_ctl *c, const struct xt_config *fresh)
{
    size_t n;
    const struct xt_setting *k = xt_config_keys(&n);
    char old[XT_CONFIG_TEXT_MAX], new[XT_CONFIG_TEXT_MAX];
    bool changed = false;
    for (; n--; k++) {
        xt_config_get(&c->cfg.config, k, old, sizeof old);
        xt_config_get(fresh, k, new, sizeof new);
        if (strcmp(old, new) == 0)
            continue;
        xt_log_info("control: %s is now %s (was %s)%s", k->name, new, old, k->runtime ? "" : ": at the next start");
        changed = true;
        if (k->runtime)
            take_value(&c->cfg.config, fresh, k);
    }
    if (!changed)
        xt_log_info("control: the configuration was read again: nothing has changed");
    apply(c, NULL);
}

/* ---- config-set ---- */

/* Changes one value of a copy; 0, or an error has been sent. */
static int change(struct xt_request *r, struct xt_config *copy)
{
    char name[64], value[XT_CONFIG_TEXT_MAX], err[512];
    if (xt_msg_get_str(r->msg, "name", name, sizeof name) < 0 ||
        xt_msg_get_str(r->msg, "value", value, sizeof value) < 0) {
        xt_client_error(r->client, -EINVAL, "config-set wants \"name\" and \"value\"");
        return -EINVAL;
    }
    const struct xt_setting *k = xt_config_key(name);
    if (k && !k->runtime) {
        xt_client_error(r->client, -EBUSY, "%s cannot change while xtcpd runs: set it in the file and restart", name);
        return -EBUSY;
    }
    if (k && (k->type == XT_SET_ROUTE || k->type == XT_SET_RULES)) /* the whole list is replaced */
        xt_config_set(copy, name, "", err, sizeof err);
    int rc = xt_config_set(copy, name, value, err, sizeof err);
    if (rc == 0)
        rc = xt_config_check(copy, err, sizeof err);
    if (rc == 0) /* an MTU beyond the interface's; "auto" becomes a number */
        rc = xt_netif_check(copy, err, sizeof err);
    if (rc == 0)
        rc = xt_privilege_check(copy, err, sizeof err);
    if (rc < 0)
        xt_client_error(r->client, rc, "%s", err);
    else
        xt_log_info("control: uid %u set %s to %s", r->client->uid, name, value);
    return rc;
}

void xt_admin_config_set(struct xt_request *r)
{
    struct xt_ctl *c = r->client->ctl;
    struct xt_config copy = c->cfg.config;
    if (change(r, &copy) < 0)
        return;
    c->cfg.config = copy;
    apply(c, r->client);
}
