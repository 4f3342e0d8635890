// SPDX-License-Identifier: LGPL-2.1-or-later
// usage: server.js NAME ADDRESS PORT DOCROOT -- answers as server.py says.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');

// Left to itself, Node also sends Keep-Alive: timeout=..., which is no business of the client's: to remove
// it is a case for the relay.
const KEEP = { Connection: 'keep-alive' };
const [name, address, port, docroot] = process.argv.slice(2);

function answer(response, body, status = 200) {
        response.writeHead(status, { 'X-Server': name, 'Content-Length': Buffer.byteLength(body), ...KEEP });
        response.end(body);
}

function chunked(response, body) {
        response.writeHead(200, { 'X-Server': name });
        for (let start = 0; start < body.length; start += 10007)
                response.write(body.subarray(start, start + 10007));
        response.end();
}

function sum(request, response) {
        const digest = crypto.createHash('sha256');
        request.on('data', (part) => digest.update(part));
        request.on('end', () => answer(response, digest.digest('hex')));
}

function handle(request, response) {
        const [target, query = ''] = request.url.split(/\?(.*)/s);
        const [, verb, argument = ''] = target.split('/');
        const file = path.join(docroot, path.basename(argument || 'none'));

        if (request.method === 'POST')
                sum(request, response);
        else if (verb === 'echo')
                answer(response, `${name} ${query}\n`);
        else if (verb === 'slow')
                setTimeout(() => answer(response, `${name} ${argument}\n`), Number(argument));
        else if (verb === 'peer')
                answer(response, `${name} ${request.socket.remoteAddress}:${request.socket.remotePort}\n`);
        else if (['file', 'chunked'].includes(verb) && fs.existsSync(file))
                (verb === 'file' ? answer : chunked)(response, fs.readFileSync(file));
        else
                answer(response, 'not here\n', 404);
}

const server = http.createServer({ keepAliveTimeout: 60000 }, handle);
server.listen({ host: address, port: Number(port), backlog: 1024 });
