# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# CPython's own tests of what uses TCP.
commands="/usr/bin/python3 /usr/lib/python3.11/test/test_socket.py"
rounds=xx
limit=3000
modules=(asyncio.test_base_events asyncio.test_buffered_proto asyncio.test_events asyncio.test_selector_events
    asyncio.test_sendfile asyncio.test_server asyncio.test_sock_lowlevel asyncio.test_ssl asyncio.test_sslproto
    asyncio.test_streams asyncio.test_unix_events asynchat asyncore docxmlrpc eintr epoll ftplib httplib httpservers imaplib
    'logging/Sock|HTTP|SMTP' nntplib poll poplib select selectors smtplib socket socketserver ssl telnetlib timeout
    urllib2_localnet wsgiref xmlrpc)
for how in fork spawn forkserver; do
    modules+=("multiprocessing_$how/Listener|Connection|Client|Picklin|RemoteManager|TestWait")
done

suite() {
    on_loopback "$1" /usr/bin/python3 "$MATRIX/cpython.py" "$2" "${modules[@]/#/test.test_}"
}
job() { compare 500; }
