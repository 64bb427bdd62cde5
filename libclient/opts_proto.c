/* SPDX-License-Identifier: Apache-2.0
 * Options of IPPROTO_TCP and IPPROTO_IP with a shape, a limit or an answer of their own. */
#include <linux/tcp.h>
#include <string.h>

#include "libclient/fastopen.h"
#include "libclient/opts.h"
#include "libclient/tcpinfo.h"
#include "proto/xt_cc.h"

#define IP_OPTIONS_MAX 40

/* Checked by the daemon, which sends them. */
static int set_ip_options(struct xtcp *x, int s, const void *val, socklen_t len)
{
    struct xtcp_cmd c = {.op = XT_OP_SETOPT, .slot = s, .arg = {XT_SO_IP_OPTIONS, len}, .in = val, .in_len = len};
    return len > IP_OPTIONS_MAX ? -EINVAL : xtcp_call(x, &c);
}

static int set_congestion(struct xtcp *x, int s, const void *val, socklen_t len)
{
    char name[16] = "";
    memcpy(name, val, len < sizeof name - 1 ? len : sizeof name - 1);
    if (len == 0)
        return -EINVAL;
    int id = xt_cc_by_name(name);
    return id < 0 ? -ENOENT : xtcp_opt_tell(x, s, XT_SO_CONGESTION, id);
}

static int set_maxseg(struct xtcp *x, int s, struct xt_slot *sl, int v)
{
    int rc = v != 0 && (v < 88 || v > 32767) ? -EINVAL : xtcp_opt_tell(x, s, XT_SO_MAXSEG, v);
    if (rc == 0)
        xtcp_opt_keep(x, sl, XT_SO_MAXSEG, (uint32_t)v);
    return rc;
}

bool xtcp_proto_setopt(struct xtcp *x, int s, struct xt_slot *sl, int level, int name, const void *val, socklen_t len,
                       int *rc)
{
    int v;
    if (level == IPPROTO_IP && name == IP_OPTIONS) {
        *rc = set_ip_options(x, s, val, len);
        return true;
    }
    if (level != IPPROTO_TCP)
        return false;
    if (xtcp_fastopen_setsockopt(x, s, name, val, len, rc))
        return true;
    if (name == TCP_CONGESTION) {
        *rc = set_congestion(x, s, val, len);
    } else if (name == TCP_ULP) {
        *rc = -ENOENT;
    } else if (len < sizeof v) {
        *rc = -EINVAL;
    } else if (name == TCP_MAXSEG) {
        memcpy(&v, val, sizeof v);
        *rc = set_maxseg(x, s, sl, v);
    } else {
        return false;
    }
    return true;
}

/* ---- reading ---- */

static int ask_info(struct xtcp *x, int s, struct xt_tcp_info_abi *a)
{
    struct xtcp_cmd c = {.op = XT_OP_INFO, .slot = s, .data = a, .data_len = sizeof *a};
    return xtcp_call(x, &c);
}

static int get_info(struct xtcp *x, int s, const struct xt_slot *sl, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    struct xtcp_tcp_info t;
    xtcp_tcp_info_fill(&t, &a);
    t.t.tcpi_max_pacing_rate = ~xtcp_rare(x, sl)->pacing_max;
    return xtcp_opt_give(val, len, &t, sizeof t);
}

static int get_ip_options(struct xtcp *x, int s, void *val, socklen_t *len)
{
    uint8_t o[IP_OPTIONS_MAX];
    struct xtcp_cmd c = {.op = XT_OP_GETOPT, .slot = s, .arg = {XT_SO_IP_OPTIONS}, .data = o, .data_len = sizeof o};
    int n = xtcp_call(x, &c);
    return n < 0 ? n : xtcp_opt_give(val, len, o, (size_t)n);
}

static int get_congestion(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    char name[16] = "";
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    strcpy(name, xt_cc_name(a.cc));
    return xtcp_opt_give(val, len, name, sizeof name);
}

static int get_maxseg(struct xtcp *x, int s, struct xt_slot *sl, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    uint32_t set = xtcp_opt_kept(x, sl, XT_SO_MAXSEG);
    return xtcp_opt_give_int(val, len, (int)(a.state != XT_CLOSED && a.snd_mss ? a.snd_mss : set ? set : 536));
}

static int get_mtu(struct xtcp *x, int s, void *val, socklen_t *len)
{
    struct xt_tcp_info_abi a;
    int rc = ask_info(x, s, &a);
    if (rc < 0)
        return rc;
    return a.pmtu ? xtcp_opt_give_int(val, len, (int)a.pmtu) : -ENOTCONN;
}

int xtcp_proto_getopt(struct xtcp *x, int s, struct xt_slot *sl, int level, int name, void *val, socklen_t *len)
{
    int rc;
    if (level == IPPROTO_IP)
        return name == IP_MTU       ? get_mtu(x, s, val, len)
               : name == IP_OPTIONS ? get_ip_options(x, s, val, len)
                                    : -ENOPROTOOPT;
    if (xtcp_fastopen_getsockopt(x, s, name, val, len, &rc))
        return rc;
    switch (name) {
    case TCP_INFO:
        return get_info(x, s, sl, val, len);
    case TCP_MAXSEG:
        return get_maxseg(x, s, sl, val, len);
    case TCP_CONGESTION:
        return get_congestion(x, s, val, len);
    case TCP_ULP:
    case TCP_SAVED_SYN:
    case TCP_CC_INFO: /* there is none */
        return xtcp_opt_give(val, len, "", 0);
    default:
        return -ENOPROTOOPT;
    }
}
