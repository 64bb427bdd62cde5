/* SPDX-License-Identifier: Apache-2.0
 * The same as bench-core with lwIP's TCP: two connections of one instance over two interfaces that only hand packets on.
 * Counted is what follows a packet's IP header, in data_segment() and ack_segment(): lwIP's tcp_input() and the ACK it sends.
 *   bench-core-lwip PAIRS data|ack */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lwip/ip4.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>

static struct netif nets[2];
static struct pbuf *queue[64];
static struct netif *queue_to[64];
static unsigned head, tail;
static struct tcp_pcb *server;
static char block[65536];
static long datas, acks;

/* Holds the packet for the other side; deliver() copies it, as a wire would. */
static err_t hand_on(struct netif *from, struct pbuf *p, const ip4_addr_t *to)
{
    queue_to[tail % 64] = from == &nets[0] ? &nets[1] : &nets[0];
    pbuf_ref(p);
    queue[tail++ % 64] = p;
    return ERR_OK;
}

static err_t net_init(struct netif *n)
{
    n->output = hand_on;
    n->mtu = 1500;
    return ERR_OK;
}

static err_t got(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
    if (p) {
        tcp_recved(pcb, p->tot_len);
        pbuf_free(p);
    }
    return ERR_OK;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err)
{
    server = pcb;
    tcp_recv(pcb, got);
    return ERR_OK;
}

__attribute__((noinline)) static void data_segment(struct pbuf *p, struct netif *to)
{
    datas++;
    ip4_input(p, to);
}

__attribute__((noinline)) static void ack_segment(struct pbuf *p, struct netif *to)
{
    acks++;
    ip4_input(p, to);
}

static void deliver(void)
{
    while (head != tail) {
        struct pbuf *p = queue[head % 64], *copy = pbuf_alloc(PBUF_RAW, p->tot_len, PBUF_RAM);
        struct netif *to = queue_to[head++ % 64];
        if (!copy || pbuf_copy(copy, p) != ERR_OK)
            abort();
        pbuf_free(p);
        if (copy->tot_len > 100)
            data_segment(copy, to);
        else
            ack_segment(copy, to);
    }
}

int main(int argc, char **argv)
{
    ip_addr_t addr[2];
    ip4_addr_t mask;
    struct tcp_pcb *l, *client;
    long pairs = argc == 3 ? atol(argv[1]) : 0;
    if (pairs <= 0 || (strcmp(argv[2], "data") != 0 && strcmp(argv[2], "ack") != 0)) {
        fprintf(stderr, "usage: bench-core-lwip PAIRS data|ack\n");
        return 2;
    }
    tcpip_init(NULL, NULL); /* starts a thread, which is kept out of what follows */
    LOCK_TCPIP_CORE();
    IP4_ADDR(&mask, 255, 255, 255, 0);
    for (int i = 0; i < 2; i++) {
        IP_ADDR4(&addr[i], 10, 0, i, 1);
        netif_add(&nets[i], ip_2_ip4(&addr[i]), &mask, NULL, NULL, net_init, ip4_input);
        netif_set_up(&nets[i]);
        netif_set_link_up(&nets[i]);
    }
    l = tcp_new();
    tcp_bind(l, &addr[1], 7);
    tcp_bind_netif(l, &nets[1]);
    l = tcp_listen(l);
    tcp_accept(l, accepted);
    client = tcp_new();
    tcp_bind_netif(client, &nets[0]);
    tcp_nagle_disable(client);
    if (tcp_connect(client, &addr[1], 7, NULL) != ERR_OK)
        abort();
    deliver();
    if (!server || client->state != ESTABLISHED)
        abort();
    for (long i = 0; i < pairs; i++) {
        for (int k = 0; k < 2; k++)
            if (tcp_write(client, block, client->mss, 0) != ERR_OK)
                abort();
        tcp_output(client);
        deliver();
    }
    printf("%ld\n", argv[2][0] == 'd' ? datas : acks);
    return 0;
}
