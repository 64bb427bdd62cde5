/* SPDX-License-Identifier: Apache-2.0
 * IPv4 fragments put together (RFC 791 section 3.2, RFC 1122 section 3.3.2). Bounded in datagrams, pieces and time. Overlap is
 * never honest (RFC 5722 forbids it in IPv6): it costs the datagram. */
#include <string.h>

#include "daemon/base/be.h"
#include "daemon/base/macros.h"
#include "daemon/base/time.h"
#include "daemon/stack/internal.h"
#include "daemon/wire/checksum.h"

#define LIFETIME (30 * XT_US_PER_S)
#define HEADROOM 64 /* for the IPv4 header in front of the payload */
#define PAYLOAD_MAX (65535 - XT_IPV4_HDR_LEN)

static void release(struct xt_stack *s, struct xt_reass *r)
{
    xt_wheel_cancel(&s->misc, XT_TIMER_REASS + (uint32_t)(r - s->reass));
    r->src = 0;
}

/* The slot of the fragment's datagram; a new one takes the place of the oldest when all are busy. */
static struct xt_reass *slot_for(struct xt_stack *s, const struct xt_ipv4 *ip)
{
    struct xt_reass *use = NULL;
    for (unsigned i = 0; i < XT_REASS_MAX; i++) {
        struct xt_reass *r = &s->reass[i];
        if (r->src == ip->src && r->id == ip->id && r->proto == ip->proto)
            return r;
        if (!use || (use->src && (!r->src || r->started < use->started)))
            use = r;
    }
    if (use->src)
        s->stats.drop_frag_full++;
    unsigned i = (unsigned)(use - s->reass);
    *use = (struct xt_reass){.src = ip->src, .id = ip->id, .proto = ip->proto, .started = s->now};
    use->buf = s->reass_mem + (size_t)i * (HEADROOM + PAYLOAD_MAX + 1);
    xt_wheel_set(&s->misc, XT_TIMER_REASS + i, s->now + LIFETIME);
    return use;
}

/* Enters [left, right). Returns the counter of what is wrong, or NULL. */
static uint64_t *add_range(struct xt_stack *s, struct xt_reass *r, uint32_t left, uint32_t right)
{
    unsigned at = 0;
    while (at < r->nranges && r->ranges[at].right < left)
        at++;
    struct xt_range *g = &r->ranges[at];
    bool joins_left = at < r->nranges && g->right == left;
    struct xt_range *after = joins_left ? g + 1 : g;
    if (after < r->ranges + r->nranges && after->left < right)
        return &s->stats.drop_frag_overlap;
    bool joins_right = after < r->ranges + r->nranges && after->left == right;
    r->have += right - left;
    if (joins_left && joins_right) {
        g->right = after->right;
        memmove(after, after + 1, (size_t)(r->ranges + --r->nranges - after) * sizeof *g);
    } else if (joins_left) {
        g->right = right;
    } else if (joins_right) {
        g->left = left;
    } else {
        if (r->nranges == XT_REASS_RANGES)
            return &s->stats.drop_frag_many;
        memmove(g + 1, g, (size_t)(r->nranges++ - at) * sizeof *g);
        *g = (struct xt_range){left, right};
    }
    return NULL;
}

/* All of [left, right) is here already: a copy that the network made. */
static bool is_duplicate(const struct xt_reass *r, uint32_t left, uint32_t right)
{
    for (unsigned i = 0; i < r->nranges; i++)
        if (r->ranges[i].left <= left && right <= r->ranges[i].right)
            return true;
    return false;
}

/* Does the fragment's length agree with what is known of the datagram's? Notes it when it is the last. */
static bool fits(struct xt_reass *r, const struct xt_ipv4 *ip, uint32_t left, uint32_t right)
{
    if (right == left || right > PAYLOAD_MAX || (ip->mf && (right - left) % 8 != 0))
        return false;
    if (ip->mf)
        return !r->have_last || right <= r->total;
    if (r->have_last || (r->nranges && r->ranges[r->nranges - 1].right > right))
        return r->have_last && r->total == right;
    r->have_last = true;
    r->total = right;
    return true;
}

/* The first fragment's header goes right before the payload, as that of a whole packet. */
static const uint8_t *finish(struct xt_stack *s, struct xt_reass *r, size_t *out_len)
{
    uint8_t *p = r->buf + HEADROOM - r->hdr_len;
    release(s, r);
    if (r->hdr_len + r->total > 65535) {
        s->stats.drop_frag_bad++;
        return NULL;
    }
    struct xt_csum sum = {0};
    xt_be16_store(p + 2, (uint16_t)(r->hdr_len + r->total));
    xt_be16_store(p + 6, 0);
    xt_be16_store(p + 10, 0);
    xt_csum_add(&sum, p, r->hdr_len);
    xt_be16_store(p + 10, (uint16_t)~xt_csum_fold(&sum));
    s->stats.frags_done++;
    *out_len = r->hdr_len + r->total;
    return p;
}

const uint8_t *xt_reass_input(struct xt_stack *s, const struct xt_ipv4 *ip, const uint8_t *p, const struct xt_rx *rx,
                              size_t *out_len)
{
    uint32_t left = ip->frag_off, right = left + ip->total_len - ip->hdr_len;
    struct xt_reass *r = slot_for(s, ip);
    s->stats.frags_in++;
    if (is_duplicate(r, left, right) && right > left) {
        s->stats.drop_frag_dup++;
        return NULL;
    }
    uint64_t *wrong = fits(r, ip, left, right) ? add_range(s, r, left, right) : &s->stats.drop_frag_bad;
    if (wrong) {
        (*wrong)++;
        release(s, r);
        return NULL;
    }
    memcpy(r->buf + HEADROOM + left, p + ip->hdr_len, right - left);
    if (left == 0) {
        memcpy(r->buf + HEADROOM - ip->hdr_len, p, ip->hdr_len);
        r->hdr_len = ip->hdr_len;
        r->have_first = true;
        if (rx->mac)
            memcpy(r->mac, rx->mac, 6);
    }
    return r->have_last && r->have == r->total ? finish(s, r, out_len) : NULL;
}

/* RFC 1122 section 3.3.2: the sender is told when the first fragment was among them. */
void xt_reass_timer(struct xt_stack *s, unsigned slot)
{
    struct xt_reass *r = &s->reass[slot];
    struct xt_rx rx = {.mac = r->mac};
    s->stats.drop_frag_timeout++;
    if (r->have_first)
        xt_icmp_error(s, XT_ICMP_TIME_EXCEEDED, 1, r->buf + HEADROOM - r->hdr_len,
                      r->hdr_len + XT_MIN(r->ranges[0].right, (uint32_t)(65535 - r->hdr_len)), &rx);
    release(s, r);
}
