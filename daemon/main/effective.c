/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/effective.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/ctl.h"
#include "daemon/ctl/netif.h"
#include "daemon/ctl/privilege.h"
#include "daemon/ctl/settings.h"
#include "proto/xt_ctl.h"

static const char kept_name[] = "settings";

/* An MTU that was right when it was set need not fit the interface any more. */
static int check_kept(struct xt_config *c, char *err, size_t errlen)
{
    int rc = xt_config_check(c, err, errlen);
    if (rc == 0)
        rc = xt_netif_check(c, err, errlen);
    if (rc != -EINVAL || !c->mtu)
        return rc;
    c->mtu = 0;
    return xt_netif_check(c, err, errlen);
}

int xt_effective_settings(const struct xt_start *st, struct xt_handed *h, struct xt_config *out, char *err,
                          size_t errlen)
{
    int kept = xt_handed_peek(h, kept_name);
    if (kept >= 0 && xt_settings_read(kept, out) == 0)
        return check_kept(out, err, errlen);
    int rc = xt_config_build(out, st->cmdline, st->argc, st->argv, err, errlen);
    if (rc == 0)
        rc = xt_config_check(out, err, errlen);
    if (rc == 0)
        rc = xt_privilege_check(out, err, errlen);
    return rc < 0 ? rc : xt_netif_check(out, err, errlen);
}

int xt_effective_keep(struct xt_handed *h, const struct xt_config *c)
{
    int fd = xt_handed_take(h, kept_name);
    if (fd >= 0)
        return fd;
    fd = xt_settings_new();
    int rc = fd < 0 ? fd : xt_settings_write(fd, c);
    if (rc == 0)
        rc = xt_notify_store(kept_name, fd);
    if (rc == 0)
        return fd;
    xt_log_warn("the settings are not kept: %s", strerror(-rc));
    if (fd >= 0)
        close(fd);
    return -1;
}

static const char *text_of(const struct xt_config *c, const char *name, char text[XT_CONFIG_TEXT_MAX])
{
    xt_config_get(c, xt_config_key(name), text, XT_CONFIG_TEXT_MAX);
    return text;
}

void xt_effective_say(const struct xt_config *c, uint32_t start)
{
    char address[XT_CONFIG_TEXT_MAX], gateway[XT_CONFIG_TEXT_MAX], mac[XT_CONFIG_TEXT_MAX];
    xt_log_info("xtcpd " XT_VERSION
                " serving on %s: address %s, gateway %s, mac %s, mtu %u, control socket %s, start %u",
                c->interface, text_of(c, "address", address), text_of(c, "gateway", gateway), text_of(c, "mac", mac),
                c->mtu, c->socket, start);
}
