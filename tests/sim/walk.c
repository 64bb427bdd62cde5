/* SPDX-License-Identifier: Apache-2.0
 * The model-based congestion control at a bottleneck of its own: it finds bandwidth and round-trip time, walks through its
 * phases in order, paces, keeps the queue short and follows the path when that changes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/tcp/cc_bbr.h"
#include "tests/sim/flow.h"

#define RATE 20000000ull /* bits per second */
#define RTT 40000ull

static unsigned failures;

static void check(bool ok, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    printf("%s ", ok ? "ok    " : "FAILED");
    vprintf(fmt, ap);
    printf("\n");
    va_end(ap);
    failures += !ok;
}

/* Phases seen, and each step from one to another. */
struct walk {
    unsigned last, seen[7], steps[7][7];
    uint32_t probe_cwnd; /* least in ProbeRTT */
};

static void watch(struct flows *s, unsigned i)
{
    struct walk *w = s->arg;
    const struct xt_conn *c = &s->f[i].c[0];
    unsigned now = xt_seldom_of(c)->ccs.bbr.phase;
    w->seen[now]++;
    if (now != w->last)
        w->steps[w->last][now]++;
    w->last = now;
    if (now == XT_BBR_PROBE_RTT && c->cwnd < w->probe_cwnd)
        w->probe_cwnd = c->cwnd;
}

static void check_steps(const struct walk *w)
{
    static const uint8_t allowed[][2] = {
        {XT_BBR_STARTUP, XT_BBR_DRAIN},    {XT_BBR_DRAIN, XT_BBR_DOWN},       {XT_BBR_DOWN, XT_BBR_CRUISE},
        {XT_BBR_DOWN, XT_BBR_REFILL},      {XT_BBR_CRUISE, XT_BBR_REFILL},    {XT_BBR_REFILL, XT_BBR_UP},
        {XT_BBR_UP, XT_BBR_DOWN},          {XT_BBR_CRUISE, XT_BBR_PROBE_RTT}, {XT_BBR_DOWN, XT_BBR_PROBE_RTT},
        {XT_BBR_REFILL, XT_BBR_PROBE_RTT}, {XT_BBR_UP, XT_BBR_PROBE_RTT},     {XT_BBR_PROBE_RTT, XT_BBR_DOWN},
    };
    unsigned legal = 0, all = 0;
    for (unsigned i = 0; i < sizeof allowed / sizeof *allowed; i++)
        legal += w->steps[allowed[i][0]][allowed[i][1]];
    for (unsigned i = 0; i < 49; i++)
        all += w->steps[i / 7][i % 7];
    check(legal == all && all > 10, "%u of %u steps between phases are those of the draft", legal, all);
}

static bool near(double is, double want, double part)
{
    return is > want * (1 - part) && is < want * (1 + part);
}

static double mbit(const struct xt_conn *c)
{
    return (double)xt_bbr_bw(&xt_seldom_of(c)->ccs.bbr) * 8e-6;
}

int main(void)
{
    static struct flows s;
    struct walk w = {.probe_cwnd = UINT32_MAX};
    uint32_t bdp = RATE / 8 * RTT / 1000000;
    struct path_cfg path = {.rate = RATE, .rtt = RTT, .queue = 4 * bdp, .ring = 1u << 22};
    flows_init(&s, &path, 1);
    s.on_ack = watch;
    s.arg = &w;
    struct flow *f = flows_add(&s, XT_CC_BBR, 0);
    const struct xt_conn *c = &f->c[0];
    flows_run(&s, s.now + 5000000);
    check(w.steps[XT_BBR_STARTUP][XT_BBR_DRAIN] == 1 && w.steps[XT_BBR_DRAIN][XT_BBR_DOWN] == 1,
          "Startup finds the pipe full, Drain empties it, once");
    check(near(mbit(c), 19.1, 0.05), "bandwidth %.1f Mbit/s of payload on a link of 20", mbit(c));
    check(near(xt_seldom_of(c)->ccs.bbr.min_rtt_us, RTT + 500, 0.03), "round-trip time %u us",
          xt_seldom_of(c)->ccs.bbr.min_rtt_us);
    flows_mark(&s);
    flows_run(&s, s.now + 20000000);
    double used = (double)flow_received(f) * 8 / 20 / (double)RATE;
    check(used > 0.85, "link used %.1f %%", used * 100);
    check(c->srtt < 2 * RTT, "queue short: smoothed round-trip time %u us", c->srtt);
    check(s.neck.drops < s.sent / 50, "%llu of %llu segments dropped", (unsigned long long)s.neck.drops,
          (unsigned long long)s.sent);
    check(w.seen[XT_BBR_CRUISE] && w.steps[XT_BBR_REFILL][XT_BBR_UP] >= 5 && w.steps[XT_BBR_UP][XT_BBR_DOWN] >= 5,
          "ProbeBW cycles: %u", w.steps[XT_BBR_REFILL][XT_BBR_UP]);
    s.path.rate = RATE * 3;
    flows_run(&s, s.now + 15000000);
    check(near(mbit(c), 57.4, 0.1), "three times the bandwidth is found: %.1f Mbit/s", mbit(c));
    s.path.rate = RATE;
    s.path.rtt = RTT * 2;
    flows_run(&s, s.now + 30000000);
    check(near(mbit(c), 19.1, 0.1), "and its loss noticed: %.1f Mbit/s", mbit(c));
    check(near(xt_seldom_of(c)->ccs.bbr.min_rtt_us, RTT * 2 + 500, 0.1), "and the longer way: %u us",
          xt_seldom_of(c)->ccs.bbr.min_rtt_us);
    check(w.seen[XT_BBR_PROBE_RTT] && w.probe_cwnd <= bdp, "ProbeRTT was there, with cwnd down to %u", w.probe_cwnd);
    check_steps(&w);
    flows_free(&s);
    return failures > 0;
}
