# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Two erlang nodes that find each other by epmd: one has the other read a file and send it.
commands="erl epmd"
job() {
    serve epmd env HOME="$DIR" epmd -port $((PORT + 1))
    wait_port $((PORT + 1))
    serve node env HOME="$DIR" ERL_EPMD_PORT=$((PORT + 1)) erl -noinput -name "a@$HOST" -setcookie c -kernel inet_dist_listen_min "$PORT" \
        inet_dist_listen_max "$PORT"
    wait_port
    client env HOME="$DIR" ERL_EPMD_PORT=$((PORT + 1)) erl -noinput -name "b@10.77.9.9" -setcookie c -hidden -eval "
        Read = fun() -> {ok, B} = rpc:call('a@$HOST', file, read_file, [\"$FILE\"]), B end,
        true = lists:any(fun(_) -> timer:sleep(100), net_adm:ping('a@$HOST') =:= pong end, lists:seq(1, 100)),
        Me = self(), [spawn(fun() -> Me ! crypto:hash(sha256, Read()) end) || _ <- lists:seq(1, 4)],
        [receive H -> io:format(\"~s~n\", [[io_lib:format(\"~2.16.0b\", [X]) || <<X>> <= H]]) end || _ <- lists:seq(1, 4)],
        halt()." >"$DIR/hashes"
    same "four files at once" "$(sort "$DIR/hashes" | uniq -c | tr -s ' ')" " 4 $WANT"
}
