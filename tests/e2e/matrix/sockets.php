<?php
// SPDX-License-Identifier: Apache-2.0
// A file over php's sockets extension: sockets.php serve PORT FILE | get HOST PORT (to the standard output).
$s = socket_create(AF_INET, SOCK_STREAM, SOL_TCP);
if ($argv[1] == 'serve') {
    socket_set_option($s, SOL_SOCKET, SO_REUSEADDR, 1);
    socket_bind($s, '0.0.0.0', (int)$argv[2]) && socket_listen($s, 16) or exit(1);
    while ($c = socket_accept($s)) {
        $rest = file_get_contents($argv[3]);
        while ($rest != '' && ($n = socket_write($c, $rest)) > 0) {
            $rest = substr($rest, $n);
        }
        socket_shutdown($c, 1);
        socket_close($c);
    }
    exit(1);
}
socket_connect($s, $argv[2], (int)$argv[3]) or exit(1);
while (($n = socket_recv($s, $piece, 65536, 0)) > 0) {
    echo $piece;
}
exit($n === 0 ? 0 : 1);
