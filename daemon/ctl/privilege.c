/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ctl/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/log.h"
#include "daemon/ctl/internal.h"

/* ---- names ---- */

static bool is_number(const char *text, uint32_t *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint32_t)n;
    return *text >= '0' && *text <= '9' && !*end && n < UINT32_MAX;
}

static bool find_user(const char *name, uid_t *out)
{
    if (is_number(name, out))
        return true;
    const struct passwd *p = getpwnam(name);
    if (p)
        *out = p->pw_uid;
    return p != NULL;
}

static bool find_group(const char *name, gid_t *out)
{
    if (is_number(name, out))
        return true;
    const struct group *g = getgrnam(name);
    if (g)
        *out = g->gr_gid;
    return g != NULL;
}

int xt_ctl_find_group(const char *name, gid_t *out, char *err, size_t errlen)
{
    *out = (gid_t)-1;
    if (!*name || find_group(name, out))
        return 0;
    snprintf(err, errlen, "there is no group '%s': set admin-group to one that exists", name);
    return -ENOENT;
}

/* ---- low-ports ---- */

/* Cuts the next item off `*rest`, without the blanks around it. */
static char *next_item(char **rest)
{
    char *item = strsep(rest, ",");
    item += strspn(item, " \t");
    for (size_t n = strlen(item); n && strchr(" \t", item[n - 1]);)
        item[--n] = 0;
    return item;
}

/* What stands after the word, or NULL: it does not begin with that. */
static const char *after(const char *item, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(item, word, n) != 0 || !strchr(" \t", item[n]) || !item[n])
        return NULL;
    return item + n + strspn(item + n, " \t");
}

static int take_item(const char *item, struct xt_low_ports *out, char *err, size_t errlen)
{
    const char *user = after(item, "user"), *group = after(item, "group");
    bool known = true;
    if (strcmp(item, "all") == 0)
        out->all = true;
    else if (user && out->nusers < XT_LOW_PORTS_MAX)
        known = find_user(user, &out->user[out->nusers++]);
    else if (group && out->ngroups < XT_LOW_PORTS_MAX)
        known = find_group(group, &out->group[out->ngroups++]);
    else if (*item && strcmp(item, "root") != 0) {
        snprintf(err, errlen, "low-ports: '%s' is not root, all, user NAME or group NAME (%d at most)", item,
                 XT_LOW_PORTS_MAX);
        return -EINVAL;
    }
    if (known)
        return 0;
    snprintf(err, errlen, "low-ports: there is no %s", item);
    return -ENOENT;
}

int xt_low_ports_parse(const char *text, struct xt_low_ports *out, char *err, size_t errlen)
{
    char copy[sizeof((struct xt_config *)0)->low_ports], *rest = copy;
    int rc = 0;
    memset(out, 0, sizeof *out);
    snprintf(copy, sizeof copy, "%s", text);
    while (rc == 0 && rest)
        rc = take_item(next_item(&rest), out, err, errlen);
    if (rc < 0)
        memset(out, 0, sizeof *out);
    return rc;
}

/* ---- settings ---- */

int xt_privilege_check(const struct xt_config *c, char *err, size_t errlen)
{
    gid_t unused;
    struct xt_low_ports low;
    int rc = xt_ctl_find_group(c->admin_group, &unused, err, errlen);
    return rc < 0 ? rc : xt_low_ports_parse(c->low_ports, &low, err, errlen);
}

void xt_privilege_apply(struct xt_ctl *c)
{
    struct xt_quota q;
    char err[256];
    if (xt_ctl_find_group(c->cfg.config.admin_group, &c->admin_gid, err, sizeof err) < 0)
        xt_log_warn("control: %s; nobody but root may administer", err);
    if (xt_low_ports_parse(c->cfg.config.low_ports, &c->low_ports, err, sizeof err) < 0)
        xt_log_warn("control: %s; ports below 1024 are root's", err);
    xt_config_quota(&c->cfg.config, &q);
    xt_app_set_quota(c->cfg.app, &q);
}

/* ---- peers ---- */

/* Membership as the kernel recorded it when the peer connected. */
static bool in_group(const struct xt_client *cl, gid_t group)
{
    gid_t groups[1024];
    socklen_t len = sizeof groups;
    if (cl->gid == group)
        return true;
    if (getsockopt(cl->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
        return false;
    for (size_t i = 0; i < len / sizeof groups[0]; i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool xt_privilege_admin(const struct xt_client *cl)
{
    gid_t group = cl->ctl->admin_gid;
    if (cl->session) /* its descriptor is inherited by forks, which may have dropped the rights it was opened with */
        return false;
    return cl->uid == 0 || cl->uid == cl->ctl->cfg.owner || (group != (gid_t)-1 && in_group(cl, group));
}

bool xt_privilege_low_ports(const struct xt_client *cl)
{
    const struct xt_low_ports *low = &cl->ctl->low_ports;
    for (unsigned i = 0; i < low->nusers; i++)
        if (low->user[i] == cl->uid)
            return true;
    for (unsigned i = 0; i < low->ngroups; i++)
        if (in_group(cl, low->group[i]))
            return true;
    return low->all || cl->uid == 0;
}
