/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/main/counters.h"

#include "daemon/main/shard.h"

static void put_device(struct xt_shard *s, xt_ctl_put *put, void *arg)
{
    struct xt_pktio_stats st = {0};
    xt_shard_pktio_stats(s, &st);
    put(arg, "device", "rx_frames", st.rx_frames, "frames received");
    put(arg, "device", "rx_bytes", st.rx_bytes, "bytes received");
    put(arg, "device", "tx_frames", st.tx_frames, "frames sent");
    put(arg, "device", "tx_bytes", st.tx_bytes, "bytes sent");
    put(arg, "device", "rx_kernel_drops", st.rx_kernel_drops, "dropped by the kernel: the receive ring was full");
    put(arg, "device", "rx_truncated", st.rx_truncated, "dropped: larger than a receive slot");
    put(arg, "device", "tx_errors", st.tx_errors, "sends that failed");
    put(arg, "device", "tx_full", st.tx_full, "sends put off: no free slot");
    put(arg, "device", "tx_submits", st.tx_submits, "system calls that carried sends");
    put(arg, "device", "filter_errors", st.filter_errors, "times that the kernel took no filter for SYNs");
}

static void put_shard(const struct xt_shard *s, xt_ctl_put *put, void *arg)
{
    struct xt_shard_stats st = {0};
    xt_shard_stats(s, &st);
    put(arg, "loop", "loops", st.loops, "passes of the data-plane loop");
    put(arg, "loop", "sleeps", st.sleeps, "times it slept");
    put(arg, "loop", "spins_paid", st.spins_paid, "times that spinning found work");
    put(arg, "loop", "spins_vain", st.spins_vain, "times that spinning found none");
    put(arg, "loop", "moves", st.moves, "times that a shard went to the processor of the program that waited for it");
}

void xt_main_counters(void *arg, uint32_t shard, xt_ctl_put *put, void *put_arg)
{
    struct xt_shard *const *shards = arg;
    put_device(shards[shard], put, put_arg);
    put_shard(shards[shard], put, put_arg);
}
