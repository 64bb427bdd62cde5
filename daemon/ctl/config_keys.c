/* SPDX-License-Identifier: Apache-2.0
 * The table of configuration keys. */
#include <string.h>

#include "daemon/ctl/config.h"
#include "proto/xt_bitmap.h"
#include "proto/xt_cc.h"

#define FIELD(member) .offset = offsetof(struct xt_config, member), .width = sizeof(((struct xt_config *)0)->member)
#define US UINT64_C(1)
#define MS (1000 * US)
#define SEC (1000 * MS)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* clang-format off */
static const struct xt_setting keys[] = {
    {"interface", XT_SET_TEXT, FIELD(interface), .def = NULL,
     .help = "network interface to send and receive on"},
    {"address", XT_SET_CIDR, FIELD(address), .min = 1, .max = 31, .def = NULL,
     .help = "own IPv4 address and prefix length; the kernel must not own it"},
    {"gateway", XT_SET_IPV4, FIELD(gateway), .def = "none", .runtime = true,
     .help = "default gateway"},
    {"route", XT_SET_ROUTE, FIELD(routes), .def = "", .runtime = true,
     .help = "route NET/LEN,GATEWAY or NET/LEN (on link); may be given again"},
    {"mac", XT_SET_MAC, FIELD(mac), .def = "auto",
     .help = "own MAC address; auto: a locally administered one, the same at every start"},
    {"mtu", XT_SET_COUNT, FIELD(mtu), .min = 576, .max = 65535, .zero_auto = true, .def = "auto", .runtime = true,
     .help = "largest IP packet to send; auto: the interface's"},
    {"ttl", XT_SET_COUNT, FIELD(ttl), .min = 1, .max = 255, .def = "64",
     .help = "time to live of sent packets"},
    {"ports", XT_SET_RANGE, FIELD(ports), .min = 1024, .max = 65535, .def = "32768-60999",
     .help = "ports chosen for connections that ask for none"},
    {"accept-source-route", XT_SET_BOOL, FIELD(source_route), .def = "on", .runtime = true,
     .help = "take source-routed IPv4 packets and answer by the same way back; off: drop them"},

    {"socket", XT_SET_TEXT, FIELD(socket), .choices = "PATH", .def = "/run/xtcp/xtcpd.sock",
     .help = "control socket for programs and xtcpctl"},
    {"admin-group", XT_SET_TEXT, FIELD(admin_group), .def = "", .runtime = true,
     .help = "group whose members may use xtcpctl, beside root"},
    {"low-ports", XT_SET_TEXT, FIELD(low_ports), .choices = "WHO[,WHO]...", .def = "root", .runtime = true,
     .help = "who may have ports below 1024, beside root: \"user NAME\", \"group NAME\", \"all\"; programs that attach from then on"},
    {"user-clients", XT_SET_COUNT, FIELD(user_clients), .min = 1, .max = 65536, .zero_auto = true, .def = "auto", .runtime = true,
     .help = "programs of one user, root apart, that may be attached at a time; auto: half of max-clients"},
    {"user-sockets", XT_SET_COUNT, FIELD(user_sockets), .min = 1, .max = 1 << 24, .zero_auto = true, .def = "auto", .runtime = true,
     .help = "sockets of one user, likewise; auto: half of max-connections"},
    {"user-memory", XT_SET_SIZE, FIELD(user_memory), .min = MIB, .max = 1024 * GIB, .zero_auto = true, .def = "auto", .runtime = true,
     .help = "their buffers, used or not; auto: as much as the machine has memory"},
    {"user-connects", XT_SET_COUNT, FIELD(user_connects), .min = 1, .max = 1000000, .def = "20000", .runtime = true,
     .help = "connections that one user may begin in a second"},
    {"user", XT_SET_TEXT, FIELD(user), .def = "auto",
     .help = "user that the stack process becomes, by name or number; auto: xtcp, or else a number that nobody has"},
    {"seccomp", XT_SET_BOOL, FIELD(seccomp), .def = "on",
     .help = "the stack process makes only the system calls that it needs; another one ends it, with a line in the log"},
    {"restart-backoff", XT_SET_DURATION, FIELD(restart_backoff), .min = MS, .max = 3600 * SEC, .def = "5s",
     .help = "longest pause before a stack process that crashes again and again is started anew; it begins with 100ms"},
    {"rules", XT_SET_RULES, FIELD(rules), .def = "", .runtime = true,
     .help = "which sockets of programs xtcp takes, such as \"kernel listen :22, kernel by ssh\"; may be given again"},
    {"max-connections", XT_SET_COUNT, FIELD(max_connections), .min = 16, .max = 1 << 22, .def = "65536",
     .help = "connections of all programs together, listeners included"},
    {"max-clients", XT_SET_COUNT, FIELD(max_clients), .min = 1, .max = 65536, .def = "4096",
     .help = "programs attached at a time; forks count as one with their parent"},
    {"max-sockets", XT_SET_COUNT, FIELD(max_sockets), .min = 16, .max = XT_BITMAP_MAX, .def = "65536",
     .help = "sockets of one program and its forks"},
    {"max-orphans", XT_SET_COUNT, FIELD(max_orphans), .min = 1, .max = 1 << 22, .def = "16384", .runtime = true,
     .help = "connections that no program holds and whose peers have not taken all; beyond that a close is a reset"},
    {"overload-rate", XT_SET_COUNT, FIELD(overload_rate), .min = 0, .max = 10000000, .def = "50000", .runtime = true,
     .help = "frames of no connection taken each second while more comes than can be worked off; 0: all"},
    {"somaxconn", XT_SET_COUNT, FIELD(somaxconn), .min = 1, .max = 65536, .def = "4096",
     .help = "limit of a listener's backlog"},
    {"sndbuf", XT_SET_POW2, FIELD(sndbuf), .min = 4 * KIB, .max = GIB, .def = "64K",
     .help = "send buffer of a socket at first"},
    {"sndbuf-max", XT_SET_POW2, FIELD(sndbuf_max), .min = 4 * KIB, .max = GIB, .def = "4M",
     .help = "how far it grows with the congestion window; a program that sets SO_SNDBUF has what it asked for"},
    {"rcvbuf", XT_SET_POW2, FIELD(rcvbuf), .min = 4 * KIB, .max = GIB, .def = "64K",
     .help = "receive buffer of a socket at first"},
    {"rcvbuf-max", XT_SET_POW2, FIELD(rcvbuf_max), .min = 4 * KIB, .max = GIB, .def = "8M",
     .help = "how far it grows with what is received in a round trip; likewise with SO_RCVBUF"},
    {"buffer-idle", XT_SET_DURATION, FIELD(buffer_idle), .min = MS, .max = 3600 * SEC, .def = "10s",
     .help = "after how long empty buffers give their memory back"},
    {"bufmax", XT_SET_POW2, FIELD(bufmax), .min = 4 * KIB, .max = GIB, .def = "16M",
     .help = "limit of what a program may ask for with SO_SNDBUF and SO_RCVBUF"},
    {"arena", XT_SET_SIZE, FIELD(arena), .min = 16 * MIB, .max = 1024 * GIB, .def = "16G",
     .help = "address space for the buffers of one program; memory is taken when used"},

    {"spin", XT_SET_DURATION, FIELD(spin), .min = 0, .max = SEC, .def = "50us",
     .help = "how long the data plane looks for work before it sleeps; 0: never"},
    {"client-spin", XT_SET_DURATION, FIELD(client_spin), .min = 0, .max = SEC, .def = "50us", .runtime = true,
     .help = "how long a program's blocking call looks for news before it sleeps"},
    {"follow", XT_SET_BOOL, FIELD(follow), .def = "on",
     .help = "where processors are short, go to that of the program that waits most for the data plane"},
    {"rx-mode", XT_SET_CHOICE, FIELD(rx_mode), .choices = "ring|multishot", .def = "ring",
     .help = "how frames are received: mapped ring or io_uring receive"},
    {"rx-frames", XT_SET_COUNT, FIELD(rx_frames), .min = 16, .max = 65536, .zero_auto = true, .def = "auto",
     .help = "receive slots, each takes a super-frame"},
    {"tx-frames", XT_SET_COUNT, FIELD(tx_frames), .min = 16, .max = 65536, .zero_auto = true, .def = "auto",
     .help = "sends in flight"},
    {"shards", XT_SET_COUNT, FIELD(shards), .min = 1, .max = XT_CREW_MAX, .def = "1",
     .help = "data-plane threads; each has a packet socket, and a program with its forks belongs to one of them"},
    {"log-level", XT_SET_CHOICE, FIELD(log_level), .choices = "error|warn|info|debug", .def = "info", .runtime = true,
     .help = "what goes to standard error"},

    {"msl", XT_SET_DURATION, FIELD(tcp.msl), .min = MS, .max = 600 * SEC, .def = "30s", .runtime = true,
     .help = "maximum segment lifetime; TIME_WAIT lasts two"},
    {"rto-initial", XT_SET_DURATION, FIELD(tcp.rto_initial), .min = 10 * MS, .max = 60 * SEC, .def = "1s", .runtime = true,
     .help = "retransmission time-out before the first measurement"},
    {"rto-min", XT_SET_DURATION, FIELD(tcp.rto_min), .min = MS, .max = 60 * SEC, .def = "200ms", .runtime = true,
     .help = "least retransmission time-out"},
    {"rto-max", XT_SET_DURATION, FIELD(tcp.rto_max), .min = SEC, .max = 600 * SEC, .def = "120s", .runtime = true,
     .help = "greatest retransmission time-out"},
    {"delack", XT_SET_DURATION, FIELD(tcp.delack), .min = 0, .max = 500 * MS, .def = "40ms", .runtime = true,
     .help = "how long an acknowledgement may wait for company"},
    {"quickack", XT_SET_COUNT, FIELD(tcp.quickack), .min = 0, .max = 255, .def = "16", .runtime = true,
     .help = "segments acknowledged at once at the start of a connection; 0: plain delayed ACK"},
    {"fin-timeout", XT_SET_DURATION, FIELD(tcp.finwait2), .min = MS, .max = 3600 * SEC, .def = "60s", .runtime = true,
     .help = "time in FIN_WAIT2 of a connection that no program holds"},
    {"keepalive-time", XT_SET_DURATION, FIELD(tcp.keep_idle), .min = SEC, .max = 32767 * SEC, .def = "2h", .runtime = true,
     .help = "silence before the first keep-alive probe"},
    {"keepalive-interval", XT_SET_DURATION, FIELD(tcp.keep_intvl), .min = SEC, .max = 32767 * SEC, .def = "75s", .runtime = true,
     .help = "time between keep-alive probes"},
    {"keepalive-probes", XT_SET_COUNT, FIELD(tcp.keep_cnt), .min = 1, .max = 127, .def = "9", .runtime = true,
     .help = "unanswered keep-alive probes that end a connection"},
    {"syn-retries", XT_SET_COUNT, FIELD(tcp.syn_retries), .min = 0, .max = 127, .def = "7", .runtime = true,
     .help = "SYNs sent again before connect fails"},
    {"synack-retries", XT_SET_COUNT, FIELD(tcp.synack_retries), .min = 0, .max = 127, .def = "5", .runtime = true,
     .help = "SYN+ACKs sent again before a half-open connection is dropped"},
    {"retries", XT_SET_COUNT, FIELD(tcp.retries), .min = 1, .max = 127, .def = "15", .runtime = true,
     .help = "retransmissions of one segment before a connection is given up"},
    {"orphan-retries", XT_SET_COUNT, FIELD(tcp.orphan_retries), .min = 0, .max = 127, .def = "8", .runtime = true,
     .help = "likewise for a connection that no program holds"},
    {"init-cwnd", XT_SET_COUNT, FIELD(tcp.init_cwnd), .min = 1, .max = 255, .def = "10", .runtime = true,
     .help = "initial congestion window, segments"},
    {"congestion", XT_SET_CHOICE, FIELD(tcp.cc), .choices = XT_CC_CHOICES, .def = "cubic", .runtime = true,
     .help = "congestion control of new connections"},
    {"timestamps", XT_SET_BOOL, FIELD(tcp.timestamps), .def = "on", .runtime = true,
     .help = "TCP time stamps"},
    {"sack", XT_SET_BOOL, FIELD(tcp.sack), .def = "on", .runtime = true,
     .help = "selective acknowledgement"},
    {"recovery", XT_SET_CHOICE, FIELD(tcp.recovery), .choices = "rack|sack", .def = "rack", .runtime = true,
     .help = "how losses are found with selective acknowledgement: by time (RFC 8985) or by count (RFC 6675)"},
    {"tlp-min", XT_SET_DURATION, FIELD(tcp.tlp_min), .min = MS, .max = 60 * SEC, .def = "45ms", .runtime = true,
     .help = "least time before a tail loss probe that sends old data again"},
    {"wscale", XT_SET_BOOL, FIELD(tcp.wscale), .def = "on", .runtime = true,
     .help = "window scaling"},
    {"syn-cookies", XT_SET_CHOICE, FIELD(tcp.syn_cookies), .choices = "auto|always|never", .def = "auto", .runtime = true,
     .help = "answer connection requests without keeping state: when a backlog is full, always or never"},
    {"ecn", XT_SET_CHOICE, FIELD(tcp.ecn), .choices = "off|on|passive", .def = "passive", .runtime = true,
     .help = "explicit congestion notification: not at all, asked for, or only agreed to"},
    {"tcp-fast-open", XT_SET_CHOICE, FIELD(tcp.fast_open), .choices = "off|client|server|both", .def = "both", .runtime = true,
     .help = "TCP Fast Open for programs that ask for it: none, when they connect, when they listen, both"},
    {"fast-open-pause", XT_SET_DURATION, FIELD(tcp.fo_blackhole), .min = 0, .max = 86400 * SEC, .def = "1h", .runtime = true,
     .help = "no Fast Open on connect after three time-outs in a row with it; doubles each time; 0: never pauses"},
    {"icmp-abort", XT_SET_BOOL, FIELD(tcp.icmp_abort), .def = "off", .runtime = true,
     .help = "protocol and port unreachable end open connections too (RFC 9293), not only attempts (RFC 5927)"},
    {"gso-max", XT_SET_SIZE, FIELD(tcp.gso_max), .min = 0, .max = 65160, .def = "65160", .runtime = true,
     .help = "payload of a super-segment that the kernel cuts up; 0: none"},
};
/* clang-format on */

const struct xt_setting *xt_config_keys(size_t *n)
{
    *n = sizeof keys / sizeof keys[0];
    return keys;
}

const struct xt_setting *xt_config_key(const char *name)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}
