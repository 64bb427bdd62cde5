/* SPDX-License-Identifier: Apache-2.0
 * Whose a socket is: the rules of $XTCP_RULES and of the daemon, applied to this program. */
#include "libclient/preload/decide.h"

#include <string.h>
#include <sys/prctl.h>

#include "libclient/preload/preload.h"

#define KNOWN_NS 1000000000LL /* how long an answer of the kernel about an address counts */

/* The name it was started by and the one that ps shows: of a script, its interpreter's and its own. As they were at start:
 * programs write over both. */
static char names[2][XT_RULE_PROGRAM_MAX];

__attribute__((constructor)) static void remember_names(void)
{
    char comm[16] = "";
    prctl(PR_GET_NAME, comm);
    snprintf(names[0], sizeof names[0], "%s", program_invocation_short_name);
    snprintf(names[1], sizeof names[1], "%.15s", comm);
}

/* The kernel routes what is for itself with that address as the source. */
static bool ask_kernel(struct in_addr addr)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = addr}, from = {0};
    socklen_t len = sizeof from;
    int fd = xp_real.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool own = fd >= 0 && xp_real.connect(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
               xp_real.getsockname(fd, (struct sockaddr *)&from, &len) == 0 && from.sin_addr.s_addr == addr.s_addr;
    if (fd >= 0)
        xp_real.close(fd);
    return own;
}

/* Programs connect to the same few addresses again and again. */
static bool is_host(uint32_t addr)
{
    static XP_TLS struct {
        uint32_t addr;
        bool own;
        int64_t until;
    } last;
    int64_t now = xp_now_ns();
    int saved = errno;
    if (last.addr != addr || now >= last.until) {
        last.own = ask_kernel((struct in_addr){.s_addr = htonl(addr)});
        last.addr = addr;
        last.until = now + KNOWN_NS;
    }
    errno = saved;
    return last.own;
}

const char *xp_own_rules(void)
{
    static char text[XT_RULES_MAX];
    static bool taken;
    const char *s = taken ? NULL : xp_setting("XTCP_RULES");
    if (s)
        snprintf(text, sizeof text, "%s", s);
    taken = true;
    return text;
}

enum xt_place xp_decide(const struct xtcp *x, bool listening, const struct sockaddr_in *addr, char *why, size_t size)
{
    struct sockaddr_in own = {0};
    struct xt_rule_case c = {
        .listen = listening,
        .addr = ntohl(addr->sin_addr.s_addr),
        .port = ntohs(addr->sin_port),
        .program = {names[0], names[1]},
        .is_host = is_host,
        .texts = {xp_own_rules(), xtcp_rules(x)},
        .from = {"XTCP_RULES", "xtcpd"},
    };
    xtcp_own_addr(x, &own);
    c.own = ntohl(own.sin_addr.s_addr);
    return xt_rules_decide(&c, why, size);
}
