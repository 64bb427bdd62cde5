/* SPDX-License-Identifier: Apache-2.0
 * The Internet checksum (RFC 1071). All 16-bit values here are in host byte order: store them by xt_be16_store(). */
#ifndef XT_WIRE_CHECKSUM_H
#define XT_WIRE_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A sum over consecutive pieces of data. All zero is the sum of nothing. */
struct xt_csum {
    uint64_t acc; /* in the byte order of memory, folded only by xt_csum_fold() */
    bool odd;     /* an odd number of bytes was added so far */
};

/* Adds `n` bytes; pieces of any length, odd ones too, sum up as if they were one. */
void xt_csum_add(struct xt_csum *c, const void *p, size_t n);

/* The one's complement sum, not complemented. */
uint16_t xt_csum_fold(const struct xt_csum *c);

/* The checksum (complement of the sum) of one buffer; 0 for data that includes its own right checksum. */
uint16_t xt_csum(const void *p, size_t n);

/* The sum of the IPv4 pseudo-header (RFC 9293 section 3.1), not complemented: what the checksum field must hold when the
 * device finishes the checksum (VIRTIO_NET_HDR_F_NEEDS_CSUM). Addresses in network byte order; `len` is the TCP length,
 * header and payload (of the super-segment, when it is one). */
uint16_t xt_csum_pseudo4(uint32_t src, uint32_t dst, uint8_t proto, uint16_t len);

/* The TCP checksum over pseudo-header, TCP header (`hdr`, its checksum field zero) and `niov` pieces of payload. */
uint16_t xt_csum_tcp4(uint32_t src, uint32_t dst, const void *hdr, size_t hdr_len, const struct iovec *iov,
                      unsigned niov);

/* True when the checksum of the TCP segment at `p` (`len` bytes, at most 65535, header and payload) is right. */
bool xt_csum_tcp4_verify(uint32_t src, uint32_t dst, const void *p, size_t len);

#endif
