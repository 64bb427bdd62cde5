// SPDX-License-Identifier: Apache-2.0
// node.js http|cluster|net PORT FILE           servers: the file over HTTP, from one process or three; an echo
// node.js get HOST PORT N SHA256 keep|each     N downloads, six at a time, over kept connections or one each
// node.js echo HOST PORT FILE SHA256           the file to the echo and back, then half-closed
'use strict';
const http = require('http'), net = require('net'), fs = require('fs'), crypto = require('crypto'), cluster = require('cluster');
const [mode, a, b, c, d, e] = process.argv.slice(2);

function die(err) {
    console.error(err);
    process.exit(1);
}

function serveFile(port, path) {
    const body = fs.readFileSync(path);
    http.createServer((req, res) => {
        res.setHeader('X-Pid', process.pid);
        if (req.url === '/stream')
            fs.createReadStream(path).pipe(res);
        else
            res.end(body);
    }).listen(Number(port));
}

function get(agent, path, want) {
    return new Promise((ok, bad) => {
        http.get({host: a, port: Number(b), path, agent}, (res) => {
            const h = crypto.createHash('sha256');
            res.on('data', (x) => h.update(x)).on('error', bad);
            res.on('end', () => h.digest('hex') === want ? ok(res.headers['x-pid']) : bad(new Error('the hash is wrong')));
        }).on('error', bad);
    });
}

async function getMany() {
    const agent = new http.Agent({keepAlive: e === 'keep', maxSockets: 6}), all = [];
    for (let i = 0; i < Number(c); i++)
        all.push(get(agent, i % 2 ? '/stream' : '/', d));
    const pids = new Set(await Promise.all(all));
    console.log(`${all.length} from ${pids.size} processes`);
    agent.destroy();
}

function echo() {
    const s = net.connect({host: a, port: Number(b), allowHalfOpen: true}), h = crypto.createHash('sha256');
    s.setNoDelay(true);
    s.setKeepAlive(true, 5000);
    fs.createReadStream(c).pipe(s);
    s.on('data', (x) => h.update(x)).on('error', die);
    s.on('end', () => h.digest('hex') === d || die('the hash is wrong'));
}

if (mode === 'http') {
    serveFile(a, b);
} else if (mode === 'cluster') {
    if (cluster.isPrimary) {
        for (let i = 0; i < 3; i++)
            cluster.fork();
    } else {
        serveFile(a, b);
    }
} else if (mode === 'net') {
    net.createServer({allowHalfOpen: true}, (s) => s.pipe(s).on('error', die)).listen(Number(a));
} else if (mode === 'get') {
    getMany().catch(die);
} else if (mode === 'echo') {
    echo();
}
