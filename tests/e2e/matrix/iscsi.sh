# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# tgtd: its disk is found and says what it is (libiscsi).
commands="tgtd tgtadm iscsi-ls iscsi-inq"
job() {
    cp "$FILE" "$DIR/disk"
    serve tgtd env TGT_IPC_SOCKET="$DIR/tgt" tgtd -f --iscsi "portal=0.0.0.0:$PORT"
    wait_port
    on_server env TGT_IPC_SOCKET="$DIR/tgt" tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2000-01.test:d
    on_server env TGT_IPC_SOCKET="$DIR/tgt" tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b "$DIR/disk"
    on_server env TGT_IPC_SOCKET="$DIR/tgt" tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL
    client iscsi-ls -s "iscsi://$HOST:$PORT" >"$DIR/ls"
    cat "$DIR/ls"
    same "a disk" "$(grep -c 'Lun:1' "$DIR/ls")" 1
    client iscsi-inq "iscsi://$HOST:$PORT/iqn.2000-01.test:d/1" >"$DIR/inq"
    grep -q 'Vendor:IET' "$DIR/inq"
}
