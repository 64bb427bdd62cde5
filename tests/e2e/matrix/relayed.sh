# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What ssh carries: ports forwarded each way, SOCKS, eight sessions over one connection, a jump, sftp, git and rsync.
commands="sshd ssh sftp ssh-keygen git rsync curl nginx"
limit=300
ssh_up() {
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/hostkey"
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/key"
    cp "$DIR/key.pub" "$DIR/authorized"
    printf '%s\n' "Port $PORT" "HostKey $DIR/hostkey" "AuthorizedKeysFile $DIR/authorized" "PidFile $DIR/pid" "StrictModes no" "UsePAM no" \
        "PermitRootLogin yes" "PasswordAuthentication no" "GatewayPorts yes" "MaxStartups 50" "Subsystem sftp /usr/lib/openssh/sftp-server" >"$DIR/conf"
    printf '%s\n' "Host *" "IdentityFile $DIR/key" "StrictHostKeyChecking no" "UserKnownHostsFile $DIR/known" "LogLevel ERROR" "BatchMode yes" \
        "KexAlgorithms curve25519-sha256" "User root" "Host s jump" "HostName $HOST" "Port $PORT" "Host master" "HostName $HOST" "Port $PORT" \
        "ControlPath $DIR/master" >"$DIR/ssh"
    serve_root sshd /usr/sbin/sshd -D -e -f "$DIR/conf"
    wait_port
}
forwards() { # -L and -D to the server that is behind, -R back to it
    client_bg forward ssh -F "$DIR/ssh" -N -o ExitOnForwardFailure=yes -L "127.0.0.1:$((PORT + 2)):$BEHIND:$((PORT + 1))" \
        -D "127.0.0.1:$((PORT + 3))" -R "0.0.0.0:$((PORT + 4)):127.0.0.1:$((PORT + 2))" s
    wait_port $((PORT + 4))
    local i pids=()
    same "-L" "$(client curl -sS --fail "http://127.0.0.1:$((PORT + 2))/file" | hash_of)" "$WANT"
    same "-R" "$(client curl -sS --fail "http://$HOST:$((PORT + 4))/file" | hash_of)" "$WANT"
    for i in 1 2 3 4 5 6; do
        client curl -sS --fail --socks5 "127.0.0.1:$((PORT + 3))" "http://$BEHIND:$((PORT + 1))/file" >"$DIR/got.$i" &
        pids+=($!)
    done
    for i in 1 2 3 4 5 6; do
        wait "${pids[i - 1]}"
        same "-D, six at once" "$(hash_of <"$DIR/got.$i")" "$WANT"
    done
    xt_stop "$CLIENT_PID"
}
sessions() {
    local i pids=()
    client ssh -F "$DIR/ssh" -o ControlMaster=yes -o ControlPersist=yes -f -N master
    for i in 1 2 3 4 5 6 7 8; do
        client ssh -F "$DIR/ssh" master sha256sum <"$FILE" >"$DIR/sum.$i" &
        pids+=($!)
    done
    wait "${pids[@]}"
    same "sessions of one connection" "$(cut -d ' ' -f 1 "$DIR"/sum.* | uniq -c | tr -s ' ')" " 8 $WANT"
    client ssh -F "$DIR/ssh" -O exit master
    same "a jump" "$(client ssh -F "$DIR/ssh" -J jump s sha256sum <"$FILE" | cut -d ' ' -f 1)" "$WANT"
}
job() {
    local git=(git -c safe.directory='*' -c user.name=m -c user.email=m@m)
    export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_SSH_COMMAND="ssh -F $DIR/ssh"
    web_behind
    ssh_up
    forwards
    sessions
    printf '%s\n' "put $FILE $DIR/up" "get $DIR/up $DIR/down" >"$DIR/batch"
    client sftp -q -F "$DIR/ssh" -b "$DIR/batch" s >/dev/null
    same sftp "$(hash_of <"$DIR/down")" "$WANT"
    client rsync -e "ssh -F $DIR/ssh" "$FILE" "s:$DIR/rsynced"
    same rsync "$(hash_of <"$DIR/rsynced")" "$WANT"
    git -c init.defaultBranch=main init -q --bare "$DIR/repo.git"
    git -c init.defaultBranch=main init -q "$DIR/one"
    cp "$FILE" "$DIR/one/file"
    git -C "$DIR/one" add file
    "${git[@]}" -C "$DIR/one" commit -qm one
    client git -C "$DIR/one" push -q "s:$DIR/repo.git" main
    client git clone -q "s:$DIR/repo.git" "$DIR/two"
    same git "$(hash_of <"$DIR/two/file")" "$WANT"
}
