/* SPDX-License-Identifier: Apache-2.0
 * A crowd of peers, in one process and without a kernel's connection for each: frames made and read by hand, twelve bytes kept of
 * each connection. Its addresses (10.80.0.1 and on, 50,000 connections each) are behind the gateway, for the server.
 *   bench-crowd IFACE MAC ADDRESS PORT PORTS CONNS    opens CONNS connections to ADDRESS (which has MAC), ports PORT to
 *       PORT+PORTS-1, says "open SECONDS", and obeys lines: "exchange N": 64 bytes there and back on N of them, taken at random
 *       (0: on each once), some at a time; says "exchanged SECONDS". Ends at the end of its input; the connections stay. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/bench/common.h"

enum { PING = 64, WINDOW = 256, EACH = 50000, FIRST_PORT = 10000, BATCH = 64, RETRY_MS = 500 };
#define FIRST_ADDRESS 0x0a500001u /* 10.80.0.1 */
#define ISS 1000u

enum state { CLOSED, CALLING, ESTABLISHED, ASKED };
struct peer {
    uint32_t snd_nxt, rcv_nxt;
    uint16_t state, owed; /* bytes of the answer that are still to come */
};
struct __attribute__((packed)) frame {
    struct ether_header eth;
    struct iphdr ip;
    struct tcphdr tcp;
    uint8_t data[PING];
};

static struct peer *peers;
static uint32_t conns, ports, first_port, done;
static struct frame template;
static int sock;

static uint32_t add_words(uint32_t sum, const void *from, size_t len)
{
    uint16_t word;
    for (size_t i = 0; i + 1 < len; i += sizeof word) {
        memcpy(&word, (const char *)from + i, sizeof word);
        sum += word;
    }
    return sum;
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void emit(uint32_t i, uint8_t flags, uint32_t seq, size_t len)
{
    struct frame f = template;
    size_t tcp_len = sizeof f.tcp + len;
    f.ip.saddr = htonl(FIRST_ADDRESS + i / EACH);
    f.ip.tot_len = htons((uint16_t)(sizeof f.ip + tcp_len));
    f.ip.check = folded(add_words(0, &f.ip, sizeof f.ip));
    f.tcp.source = htons((uint16_t)(FIRST_PORT + i % EACH));
    f.tcp.dest = htons((uint16_t)(first_port + i % ports));
    f.tcp.seq = htonl(seq);
    f.tcp.ack_seq = htonl(peers[i].rcv_nxt);
    ((uint8_t *)&f.tcp)[13] = flags;
    uint32_t sum = htons(IPPROTO_TCP) + htons((uint16_t)tcp_len);
    f.tcp.check = folded(add_words(add_words(sum, &f.ip.saddr, 8), &f.tcp, tcp_len));
    if (send(sock, &f, sizeof f - PING + len, 0) < 0 && errno != ENOBUFS)
        die("send");
}

static void ask(uint32_t i)
{
    emit(i, TH_PUSH | TH_ACK, peers[i].snd_nxt - PING, PING);
}

/* What one frame from the server means for connection i. */
static void answer(uint32_t i, const struct tcphdr *tcp, uint32_t len)
{
    struct peer *p = &peers[i];
    uint32_t seq = ntohl(tcp->seq);
    if (tcp->rst) {
        fprintf(stderr, "connection %u was reset\n", i);
        exit(1);
    }
    if (tcp->syn && p->state == CALLING) {
        *p = (struct peer){.snd_nxt = ISS + 1, .rcv_nxt = seq + 1, .state = ESTABLISHED};
        done++;
    }
    if (len && seq == p->rcv_nxt) {
        p->rcv_nxt += len;
        p->owed -= (uint16_t)(len < p->owed ? len : p->owed);
        if (!p->owed && p->state == ASKED) {
            p->state = ESTABLISHED;
            done++;
        }
    }
    if (tcp->syn || len)
        emit(i, TH_ACK, p->snd_nxt, 0);
}

static void take(const uint8_t *at, size_t size)
{
    const struct frame *f = (const struct frame *)at;
    if (size < sizeof f->eth + sizeof f->ip + sizeof f->tcp || f->eth.ether_type != htons(ETHERTYPE_IP) ||
        f->ip.protocol != IPPROTO_TCP || f->ip.saddr != template.ip.daddr)
        return;
    uint32_t i = (ntohl(f->ip.daddr) - FIRST_ADDRESS) * EACH + ntohs(f->tcp.dest) - FIRST_PORT;
    uint32_t headers = f->ip.ihl * 4u + f->tcp.doff * 4u;
    struct tcphdr tcp = f->tcp;
    if (i < conns && ntohs(f->ip.tot_len) >= headers)
        answer(i, &tcp, ntohs(f->ip.tot_len) - headers);
}

/* Takes what has come; false when there was nothing for a while. */
static bool take_all(void)
{
    static uint8_t buf[BATCH][256];
    struct mmsghdr m[BATCH] = {0};
    struct iovec iov[BATCH];
    struct pollfd p = {.fd = sock, .events = POLLIN};
    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){buf[i], sizeof buf[i]};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(sock, m, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        take(buf[i], m[i].msg_len);
    return n > 0 || poll(&p, 1, RETRY_MS) > 0;
}

/* Has `count` connections do something, WINDOW at a time: `begin` has the next one begin, `again` repeats what was lost. Returns the
 * seconds it took. */
static double drive(uint32_t count, void (*begin)(uint32_t n), void (*again)(uint32_t i))
{
    uint32_t begun = 0;
    double t0 = now(), last = t0;
    for (done = 0; done < count;) {
        while (begun < count && begun - done < WINDOW)
            begin(begun++);
        uint32_t before = done;
        bool any = take_all();
        if (done != before)
            last = now();
        if (any && now() - last < RETRY_MS / 1e3)
            continue;
        if (now() - last > 60) {
            fprintf(stderr, "no answer for 60 s: %u of %u\n", done, count);
            exit(1);
        }
        for (uint32_t i = 0; i < conns; i++)
            again(i);
    }
    return now() - t0;
}

static void open_again(uint32_t i)
{
    if (peers[i].state == CALLING)
        emit(i, TH_SYN, ISS, 0);
}

static void open_next(uint32_t i)
{
    peers[i].state = CALLING;
    open_again(i);
}

static void ask_again(uint32_t i)
{
    if (peers[i].state == ASKED)
        ask(i);
}

static void ask_one(uint32_t i)
{
    peers[i].snd_nxt += PING;
    peers[i].owed = PING;
    peers[i].state = ASKED;
    ask(i);
}

static void ask_random(uint32_t n)
{
    static uint64_t rng = 88172645463325252u;
    uint32_t i;
    do {
        rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
        i = (uint32_t)(rng % conns);
    } while (peers[i].state != ESTABLISHED);
    ask_one(i);
}

static void set_up(char **argv)
{
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(argv[1])};
    int one = 1, room = 64 << 20;
    struct frame *f = &template;
    unsigned b[ETH_ALEN];
    sock = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP));
    if (sock < 0 || bind(sock, (struct sockaddr *)&at, sizeof at) < 0 ||
        setsockopt(sock, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0)
        die(argv[1]);
    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (sscanf(argv[2], "%x:%x:%x:%x:%x:%x", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]) != ETH_ALEN ||
        inet_pton(AF_INET, argv[3], &f->ip.daddr) != 1) {
        fprintf(stderr, "bench-crowd: not an address: %s, %s\n", argv[2], argv[3]);
        exit(2);
    }
    for (int i = 0; i < ETH_ALEN; i++)
        f->eth.ether_dhost[i] = (uint8_t)b[i];
    f->eth.ether_shost[0] = 2;
    f->eth.ether_type = htons(ETHERTYPE_IP);
    f->ip.version = 4;
    f->ip.ihl = 5;
    f->ip.ttl = 64;
    f->ip.frag_off = htons(IP_DF);
    f->ip.protocol = IPPROTO_TCP;
    f->tcp.doff = 5;
    f->tcp.window = htons(65535);
}

int main(int argc, char **argv)
{
    char line[64];
    uint32_t count;
    if (argc != 7) {
        fprintf(stderr, "usage: bench-crowd IFACE MAC ADDRESS PORT PORTS CONNS\n");
        return 2;
    }
    set_up(argv);
    first_port = (uint32_t)atoi(argv[4]);
    ports = (uint32_t)atoi(argv[5]);
    conns = (uint32_t)atoi(argv[6]);
    peers = calloc(conns, sizeof *peers);
    if (!peers || !ports || !conns)
        die("bench-crowd");
    printf("open %.3f\n", drive(conns, open_next, open_again));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "exchange %u", &count) != 1) {
            fprintf(stderr, "bench-crowd: what is %s", line);
            return 2;
        }
        printf("exchanged %.3f\n", count ? drive(count, ask_random, ask_again) : drive(conns, ask_one, ask_again));
        fflush(stdout);
    }
    return 0;
}
