// SPDX-License-Identifier: Apache-2.0
// loops.mjs serve PORT FILE | loops.mjs ask HOST PORT FILE: websockets that return what they are sent, and the file by HTTP, from a worker
// thread; asked by ws, by fetch and by threads. Says the hashes of what came.
import { Worker, isMainThread, workerData, parentPort } from 'node:worker_threads';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { WebSocket, WebSocketServer } = createRequire(import.meta.url)('/usr/share/nodejs/ws');
const hash = (data) => createHash('sha256').update(data).digest('hex');
const argv = isMainThread ? process.argv.slice(2) : workerData;

function serve(port, file) {
    const data = readFileSync(file);
    const http = createServer((request, response) => response.end(data));
    new WebSocketServer({ server: http, maxPayload: 1 << 28 }).on('connection', (s) => s.on('message', (m) => s.send(m)));
    http.listen(Number(port), '0.0.0.0');
}

function echoed(host, port, data) {
    return new Promise((resolve, reject) => {
        const s = new WebSocket(`ws://${host}:${port}/`, { maxPayload: 1 << 28 });
        s.on('open', () => s.send(data)).on('message', (m) => (s.close(), resolve(hash(m)))).on('error', reject);
    });
}

async function ask(host, port, file) {
    const data = readFileSync(file);
    const fetched = async () => hash(Buffer.from(await (await fetch(`http://${host}:${port}/`)).arrayBuffer()));
    return Promise.all([echoed(host, port, data), echoed(host, port, data), fetched(), fetched(), fetched()]);
}

if (isMainThread) {
    const workers = Array.from({ length: argv[0] === 'serve' ? 1 : 2 }, () => new Worker(new URL(import.meta.url), { workerData: argv }));
    const all = await Promise.all(workers.map((w) => new Promise((resolve, reject) => w.on('message', resolve).on('error', reject))));
    console.log([...new Set(all.flat())].join(' '));
} else if (argv[0] === 'serve') serve(argv[1], argv[2]);
else parentPort.postMessage(await ask(argv[1], argv[2], argv[3]));
