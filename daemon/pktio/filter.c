/* SPDX-License-Identifier: Apache-2.0
 * The filter of the packet socket. What it lets in is copied to the ring; what it does not costs little. */
#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "daemon/base/macros.h"
#include "daemon/pktio/internal.h"

#define ALL 0x40000 /* bytes kept of a frame */
#define IP XT_PKTIO_ETH_HLEN
#define FRAGMENT 0x3fff
#define TO_END UINT32_MAX /* of a jump: where it leads is not known yet */
#define VERDICT 4         /* instructions */
/* Kernels before 6.8 give a socket 20 KiB for options (net.core.optmem_max), where two filters count while one takes the other's place,
 * each with 8 bytes for about every one of these. */
#define MAX_CODE (4 * XT_SIEVE_WORDS + 64)
_Static_assert(MAX_CODE * 8 * 2 < 20480 * 3 / 4, "it is taken there, too");

struct program {
    struct sock_filter code[MAX_CODE];
    unsigned n;
};

static unsigned emit(struct program *p, struct sock_filter f)
{
    assert(p->n < MAX_CODE);
    p->code[p->n] = f;
    return p->n++;
}

static void emit_all(struct program *p, const struct sock_filter *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        emit(p, f[i]);
}

/* ARP and IPv4 to our address or to a group, untagged, come to what is behind it: the tap sees frames after the VLAN tag was taken
 * off, and a tagged frame belongs to another network. Tag 0 is only a priority (IEEE 802.1Q) and passes. */
static void emit_to_us(struct program *p, const uint8_t mac[6])
{
    const uint32_t hi = (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | mac[3];
    const uint32_t lo = (uint32_t)mac[4] << 8 | mac[5];
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 0, 11),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_VLAN_TAG),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x0fff),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 6),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 5, 0), /* group bit */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, hi, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, lo, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };

    emit_all(p, code, XT_ARRAY_LEN(code));
}

/* SYNs without ACK come to what is behind it, with the hash of their source in A and its place within a word in X. All else is let in. */
static void emit_syns(struct program *p, const struct xt_sieve *v)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 8),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP + 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 0, 6),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, IP + 6),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, FRAGMENT, 4, 0),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, IP),
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, IP + 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK | TH_RST),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, ALL),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP + 12),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, v->factor),
        BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32 - XT_SIEVE_HASH_BITS),
        BPF_STMT(BPF_ST, 0),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 31),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_MEM, 0),
    };

    emit_all(p, code, XT_ARRAY_LEN(code));
}

static void emit_verdict(struct program *p, uint32_t pass)
{
    const struct sock_filter code[VERDICT] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, pass, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, ALL),
    };

    emit_all(p, code, XT_ARRAY_LEN(code));
}

static bool empty(const uint32_t *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (words[i] != 0)
            return false;
    return true;
}

/* A classic filter has no table: the bits of the hash in A, from the highest on, lead to the word, and that comes into A. */
static void emit_lookup(struct program *p, const uint32_t *words, unsigned n)
{
    unsigned over;

    if (n == 1 || empty(words, n)) {
        emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, words[0]));
        emit(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, TO_END));
        return;
    }
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, n / 2 * 32, 1, 0));
    over = emit(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    emit_lookup(p, words + n / 2, n / 2);
    p->code[over].k = p->n - over - 1;
    emit_lookup(p, words, n / 2);
}

static void emit_sieve(struct program *p, const struct xt_sieve *v)
{
    emit_syns(p, v);
    const unsigned begin = p->n;
    emit_lookup(p, v->known, XT_SIEVE_WORDS);
    for (unsigned i = begin; i < p->n; i++)
        if (p->code[i].code == (BPF_JMP | BPF_JA) && p->code[i].k == TO_END)
            p->code[i].k = p->n - i - 1;
    emit(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, VERDICT, 0));
    emit_verdict(p, v->pass[XT_SIEVE_STRANGER]);
    emit_verdict(p, v->pass[XT_SIEVE_KNOWN]);
}

int xt_pktio_filter(int fd, const uint8_t mac[6], const struct xt_sieve *sieve)
{
    struct program p = {.n = 0};

    emit_to_us(&p, mac);
    if (sieve != NULL && !xt_sieve_open(sieve))
        emit_sieve(&p, sieve);
    else
        emit(&p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, ALL));

    const struct sock_fprog prog = {.len = (unsigned short)p.n, .filter = p.code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) == 0 ? 0 : -errno;
}
