/* SPDX-License-Identifier: Apache-2.0
 * What the program and its library have in common. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/e2e/corners.h"

struct sockaddr_in peer_addr;

int parse_peer(const char *addr, const char *port)
{
    peer_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtol(port, NULL, 10))};
    return inet_pton(AF_INET, addr, &peer_addr.sin_addr) == 1 ? 0 : -1;
}

int try_dial(const char *command)
{
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&peer_addr, sizeof peer_addr) < 0 ||
        send(s, command, strlen(command), 0) < 0 || send(s, "\n", 1, 0) < 0) {
        if (s >= 0)
            close(s);
        return -1;
    }
    return s;
}
