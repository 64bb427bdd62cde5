/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/packet/script/run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/wire/icmp.h"

#define LATER_US 2000000 /* how long to look for what is late already, to say how late it was */

static bool fail(struct pkt_run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, ap);
    va_end(ap);
    return false;
}

static double sec(uint64_t us)
{
    return (double)us / 1e6;
}

static void print_sent(struct pkt_run *r, char *out, size_t size)
{
    pkt_seg_print(r->sent.bytes, r->sent.len, &r->base, out, size);
}

/* Nothing that the script does not mention may have been sent up to now. */
static bool no_more(struct pkt_run *r, uint64_t until)
{
    char got[300];
    if (!r->be->next(r, &r->sent, until))
        return true;
    print_sent(r, got, sizeof got);
    return fail(r, "an unexpected segment at %.6f: %s", sec(r->sent.at), got);
}

/* Until when a segment is in time. */
static uint64_t latest(const struct pkt_run *r, uint64_t slack)
{
    return r->t + slack + r->be->late + r->t * r->be->late_permille / 1000;
}

static bool on_time(const struct pkt_run *r, uint64_t slack)
{
    return r->sent.at + slack + r->be->early >= r->t && r->sent.at <= latest(r, slack);
}

static bool expect(struct pkt_run *r, const struct pkt_event *e)
{
    char got[300], why[64];
    uint64_t until = latest(r, e->slack);
    if (!r->be->next(r, &r->sent, until)) {
        if (!r->be->next(r, &r->sent, until + LATER_US))
            return fail(r, "expected at %.6f, no segment came", sec(r->t));
        print_sent(r, got, sizeof got);
        return fail(r, "expected at %.6f, came at %.6f: %s", sec(r->t), sec(r->sent.at), got);
    }
    bool ok = pkt_tmpl_match(&e->seg, &r->base, r->sent.bytes, r->sent.len, why, sizeof why);
    print_sent(r, got, sizeof got);
    if (ok && e->seg.ecn_given && e->seg.ecn != r->sent.ecn)
        return fail(r, "the ECN bits are %u: %s", r->sent.ecn, got);
    if (!ok)
        return fail(r, "%s; came at %.6f: %s", why, sec(r->sent.at), got);
    if (!on_time(r, e->slack))
        return fail(r, "expected at %.6f, came at %.6f: %s", sec(r->t), sec(r->sent.at), got);
    return true;
}

static bool inject(struct pkt_run *r, const struct pkt_event *e)
{
    static uint8_t bytes[PKT_SEG_MAX];
    size_t n = pkt_tmpl_build(&e->seg, &r->base, bytes);
    r->be->inject(r, bytes, n, e->seg.ecn);
    return true;
}

bool pkt_result_ok(const struct pkt_range *want, long got)
{
    return want->any || ((long)(int32_t)want->lo <= got && got <= (long)(int32_t)want->hi);
}

static const char *result_text(long v, char *buf, size_t size)
{
    const char *name = v < 0 ? strerrorname_np((int)-v) : NULL;
    if (name)
        return name;
    snprintf(buf, size, "%ld", v);
    return buf;
}

/* What a call returns when all is well: what it was asked to move, or 0. */
static struct pkt_range usual_result(const struct pkt_event *e)
{
    struct pkt_range r = {0};
    if (e->nargs > 1 &&
        (strcmp(e->args[0], "write") == 0 || strcmp(e->args[0], "sendto") == 0 || strcmp(e->args[0], "read") == 0))
        r.lo = r.hi = (uint32_t)atoi(e->args[1]);
    return r;
}

static bool call(struct pkt_run *r, const struct pkt_event *e)
{
    char want[24], got[24];
    struct pkt_range result = e->has_result ? e->result : usual_result(e);
    if (r->be->sockets && strcmp(e->args[0], "mark") == 0)
        return true; /* the core's figure: sockets tell only when the mark is reached */
    if (!r->be->sockets && strcmp(e->args[0], "tcpinfo") == 0)
        return true; /* the library's and the kernel's words for what `info` asks of the core */
    long v = r->be->call(r, e, &result);
    if (pkt_result_ok(&result, v))
        return true;
    return fail(r, "the call returned %s, expected %s", result_text(v, got, sizeof got),
                result_text((int32_t)result.lo, want, sizeof want));
}

static bool state(struct pkt_run *r, const struct pkt_event *e)
{
    const char *want = e->nargs > 1 ? e->args[1] : "", *got = r->be->state(r, want);
    return !got || strcmp(got, want) == 0 || fail(r, "the state is %s", got);
}

static bool info(struct pkt_run *r, const struct pkt_event *e)
{
    uint32_t v = 0;
    if (r->be->sockets)
        return true; /* TCP_INFO counts in packets where the core does in bytes */
    if (e->nargs < 2 || !r->be->info(r, e->args[1], &v))
        return fail(r, "there is no such figure");
    return e->result.any || (v >= e->result.lo && v <= e->result.hi) || fail(r, "it is %u", v);
}

/* icmp net|host|proto|port|admin|ttl SEQ, icmp frag SEQ MTU */
static bool icmp(struct pkt_run *r, const struct pkt_event *e)
{
    static const struct {
        const char *name;
        uint8_t type, code;
    } kinds[] = {{"net", XT_ICMP_UNREACHABLE, XT_ICMP_NET_UNREACH},
                 {"host", XT_ICMP_UNREACHABLE, XT_ICMP_HOST_UNREACH},
                 {"proto", XT_ICMP_UNREACHABLE, XT_ICMP_PROTO_UNREACH},
                 {"port", XT_ICMP_UNREACHABLE, XT_ICMP_PORT_UNREACH},
                 {"frag", XT_ICMP_UNREACHABLE, XT_ICMP_FRAG_NEEDED},
                 {"admin", XT_ICMP_UNREACHABLE, XT_ICMP_ADMIN_PROHIBITED},
                 {"ttl", XT_ICMP_TIME_EXCEEDED, 0},
                 {"param", XT_ICMP_PARAM_PROBLEM, 0}};
    uint32_t seq = e->nargs > 2 ? (uint32_t)strtol(e->args[2], NULL, 0) : 0;
    uint32_t mtu = e->nargs > 3 ? (uint32_t)strtoul(e->args[3], NULL, 0) : 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && e->nargs > 2; i++) {
        if (strcmp(kinds[i].name, e->args[1]) == 0) {
            r->be->icmp(r, kinds[i].type, kinds[i].code, mtu, r->base.own_isn + seq);
            return true;
        }
    }
    return fail(r, "icmp net|host|proto|port|admin|ttl|param SEQ, icmp frag SEQ MTU");
}

/* The next connection of the same two ends: new SYNs, the peer's `+N` from the old one or N. */
static bool start_over(struct pkt_run *r, const struct pkt_event *e)
{
    if (e->nargs > 1)
        r->base.peer_isn += (uint32_t)strtol(e->args[1], NULL, 0);
    r->base.own_isn_known = r->base.own_ts_known = false;
    r->base.own_isn = r->base.own_ts = 0;
    r->wrote = r->nread = 0;
    return true;
}

static bool step(struct pkt_run *r, const struct pkt_event *e)
{
    static bool (*const steps[])(struct pkt_run *, const struct pkt_event *) = {
        [PKT_INJECT] = inject, [PKT_CALL] = call, [PKT_STATE] = state,
        [PKT_INFO] = info,     [PKT_ICMP] = icmp, [PKT_NEW] = start_over,
    };
    r->t = e->relative ? r->t + e->at : e->at;
    if (e->kind == PKT_EXPECT)
        return expect(r, e);
    if (e->kind == PKT_NOTHING) {
        r->t += e->result.lo;
        return no_more(r, r->t);
    }
    r->be->advance(r, r->t);
    return no_more(r, 0) && steps[e->kind](r, e);
}

bool pkt_run(const struct pkt_script *s, const struct pkt_backend *be, uint32_t own_isn, uint32_t peer_isn)
{
    struct pkt_run *r = calloc(1, sizeof *r);
    bool ok = true;
    if (!r)
        abort();
    r->s = s;
    r->be = be;
    r->base = (struct pkt_base){.own_port = 80, .peer_port = 40000, .peer_isn = s->isn_set ? s->peer_isn : peer_isn};
    r->base.ts_slack = (uint32_t)(be->late / 1000);
    r->base.own_isn = s->isn_set ? s->own_isn : own_isn; /* for the core to take; the script learns it from the SYN */
    if (!be->start(r)) {
        printf("%s: %s\n", s->path, r->why);
        free(r);
        return false;
    }
    r->base.own_isn = 0;
    const struct pkt_event *e = s->events;
    for (int i = 0; ok && i < s->nevents; i++)
        ok = step(r, e = &s->events[i]);
    if (ok) {
        be->settle(r);
        ok = no_more(r, 0);
    }
    r->failed = !ok;
    if (!ok)
        printf("FAILED (%s) %s: %s\n%s:%d: %s\n    %s\n", be->name, s->path, s->title, e->file, e->line, e->text,
               r->why);
    be->stop(r);
    free(r);
    return ok;
}
