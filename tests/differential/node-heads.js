// SPDX-License-Identifier: LGPL-2.1-or-later
//
// usage: node --expose-internals node-heads.js < HEADS
//
// What describe-head.c does, with the parser that Node's HTTP server and client have (llhttp), none of its
// leniencies switched on. How a body is framed it does not tell; that is found out by what it takes for one.
'use strict';

const { allMethods, methods, HTTPParser } = require('internal/test/binding').internalBinding('http_parser');
const methodNames = allMethods || methods;

const HEAD_MOST = 1 << 20;
const PROBE_MOST = 1 << 16; // bytes of a body that are tried out; longer ones are believed

class Message {
  constructor(kind) {
    this.fields = [];
    this.body = '';
    this.complete = false;
    this.parser = new HTTPParser();
    this.parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, HEAD_MOST,
                           HTTPParser.kLenientNone);
    this.parser[HTTPParser.kOnHeaders] = (fields, target) => {
      this.fields.push(...fields);
      this.target = (this.target || '') + target;
    };
    this.parser[HTTPParser.kOnHeadersComplete] = (major, minor, fields, method, target, status, phrase,
                                                  upgrade, persistent) => {
      this.fields.push(...(fields || []));
      Object.assign(this, { version: `${major}.${minor}`, method, status, phrase, upgrade, persistent });
      this.target = (this.target || '') + (target || '');
      return 0;
    };
    this.parser[HTTPParser.kOnBody] = (bytes) => { this.body += bytes.toString('latin1'); };
    this.parser[HTTPParser.kOnMessageComplete] = () => { this.complete = true; };
  }

  // The error's code, or nothing.
  feed(bytes) {
    const r = this.parser.execute(bytes);
    return r instanceof Error ? r.code : undefined;
  }
}

function readHead(kind, bytes) {
  const message = new Message(kind);
  message.error = message.feed(bytes.subarray(0, -1));
  message.early = message.version !== undefined;
  message.error ||= message.feed(bytes.subarray(-1));
  return message;
}

function framing(kind, bytes, message) {
  if (message.upgrade) return 'tunnel';
  if (message.complete) return 'none';

  const chunked = readHead(kind, bytes);
  chunked.feed(Buffer.from('1\r\nZ\r\n0\r\n\r\n'));
  if (chunked.complete && chunked.body === 'Z') return 'chunked';

  const at = message.fields.findIndex((text, i) => i % 2 === 0 && text.toLowerCase() === 'content-length');
  if (at < 0) return 'close';
  const length = message.fields[at + 1];
  if (BigInt(length) <= PROBE_MOST) {
    const probe = readHead(kind, bytes);
    probe.feed(Buffer.alloc(Number(length) - 1, 'x'));
    const before = probe.complete;
    probe.feed(Buffer.from('x'));
    if (before || !probe.complete) return 'unknown';
  }
  return `length=${BigInt(length)}`;
}

const hex = (text) => Buffer.from(text, 'latin1').toString('hex');

function describe(kind, bytes) {
  const message = readHead(kind, bytes);
  if (message.early) return 'early';
  if (message.error) return `refuse ${message.error}`;
  if (message.version === undefined) return 'more';

  const fields = [];
  for (let i = 0; i < message.fields.length; i += 2)
    fields.push(`${hex(message.fields[i])}:${hex(message.fields[i + 1])},`);
  const first = kind === 'request' ? `${hex(methodNames[message.method])} ${hex(message.target)}`
    : `${message.status} ${hex(message.phrase)}`;
  return [`accept ${bytes.length} `, first, message.version, framing(kind, bytes, message),
          message.persistent ? 'keep' : 'close', fields.join('')].join(' ');
}

const lines = require('fs').readFileSync(0, 'latin1').split('\n').filter((line) => line);
process.stdout.write(lines.map((line) => {
  const [kind, text] = line.split(' ');
  return describe(kind, Buffer.from(text, 'hex')) + '\n';
}).join(''));
