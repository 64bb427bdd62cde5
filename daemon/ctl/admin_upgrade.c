/* SPDX-License-Identifier: Apache-2.0
 * "upgrade": {op, path: str} with descriptors of the binary at that path and of a socket, or without a path and with the socket alone.
 * It is the keeper that does it, and answers on the socket. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/log.h"
#include "daemon/ctl/internal.h"

void xt_admin_upgrade(struct xt_request *r)
{
    struct xt_client *cl = r->client;
    const struct xt_ctl_keep *keep = &cl->ctl->cfg.keep;
    char path[1024] = "";
    bool own = xt_msg_get_str(r->msg, "path", path, sizeof path) == -ENOENT;
    /* It runs what it is given with the daemon's rights: being allowed to administer is not enough. */
    if (cl->uid != 0 && cl->uid != cl->ctl->cfg.owner) {
        xt_client_error(cl, -EPERM, "only root may upgrade xtcpd");
        return;
    }
    if (r->anc->nfds != (own ? 1 : 2) || (!own && path[0] != '/') || strchr(path, '\n')) {
        xt_client_error(cl, -EBADMSG, "upgrade wants \"path\" with a binary, and a socket");
        return;
    }
    int rc = keep->upgrade ? keep->upgrade(path, r->anc->fd, r->anc->nfds) : -EOPNOTSUPP;
    if (rc == -EOPNOTSUPP) {
        xt_client_error(cl, rc, "this xtcpd has no keeper of its own: replace the file, then restart it by its keeper");
    } else if (rc < 0) {
        xt_client_error(cl, rc, "the keeper cannot be reached: %s", strerror(-rc));
    } else {
        xt_log_info("control: uid %u asks for an upgrade to %s", cl->uid, own ? "the binary on the disk" : path);
        xt_client_ok(cl);
    }
}
