// SPDX-License-Identifier: LGPL-2.1-or-later
// usage: client.js agent|fetch URL N HASHES -- does what client.py says.
'use strict';

const crypto = require('crypto');
const http = require('http');

const [mode, url, rounds, hashes] = process.argv.slice(2);
const HASHES = Object.fromEntries(hashes.split(',').map((pair) => pair.split('=')));
const files = Object.keys(HASHES);
const servers = {};
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

const sha256 = (body) => crypto.createHash('sha256').update(body).digest('hex');

function withAgent(method, path, body) {
        return new Promise((resolve, reject) => {
                const request = http.request(url + path, { method, agent, timeout: 20000 }, (response) => {
                        const parts = [];
                        response.on('data', (part) => parts.push(part));
                        response.on('aborted', () => reject(new Error('aborted')));
                        response.on('end', () => resolve([response.statusCode, response.headers['x-server'],
                                                          Buffer.concat(parts)]));
                });
                request.on('timeout', () => request.destroy(new Error('timeout')));
                request.on('error', reject);
                request.end(body);
        });
}

async function withFetch(method, path, body) {
        const response = await fetch(url + path, { method, body });

        return [response.status, response.headers.get('x-server'),
                Buffer.from(await response.arrayBuffer())];
}

async function step(method, path, body, check) {
        const send = { agent: withAgent, fetch: withFetch }[mode];
        const [status, server, answer] = await send(method, path, body);

        if (status !== 200 || !server || !check(answer))
                throw new Error(`${method} ${path}: ${status}, server ${server}, ${answer.length} bytes`);
        servers[server] = (servers[server] || 0) + 1;
}

async function round(number) {
        const nonce = `${process.pid}-${number}`, file = files[number % files.length];
        const body = crypto.randomBytes(number * 1009 % 200000);

        await step('GET', `/echo?${nonce}`, undefined, (a) => a.toString().split(' ')[1] === `${nonce}\n`);
        await step('GET', `/file/${file}`, undefined, (a) => sha256(a) === HASHES[file]);
        await step('GET', `/chunked/${file}`, undefined, (a) => sha256(a) === HASHES[file]);
        await step('POST', '/sum', body, (a) => a.toString() === sha256(body));
}

async function main() {
        const numbers = [...Array(Number(rounds)).keys()];
        const worker = async () => {
                while (numbers.length)
                        await round(numbers.shift());
        };

        await Promise.all([worker(), worker(), worker(), worker()]);
        console.log(JSON.stringify(servers));
        agent.destroy();
}

main().catch((error) => {
        console.error(error);
        process.exit(1);
});
