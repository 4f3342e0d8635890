# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: server.py NAME ADDRESS PORT DOCROOT

A server of the tests. Each of them, whatever it is written in, answers

  GET /echo?TEXT   "NAME TEXT\n"
  GET /file/F      the file F of DOCROOT
and says X-Server: NAME. Those in Python and Node also know
  POST /sum        the SHA-256 of the body, in hexadecimal
  GET /chunked/F   the file, chunked
  GET /slow/MS     "NAME MS\n" after that many milliseconds
  GET /peer        "NAME ADDRESS:PORT", who it is talking to
"""
import hashlib
import http.server
import pathlib
import socket
import sys
import time

name, address, port, docroot = sys.argv[1:]


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024
    address_family = socket.AF_INET6 if ':' in address else socket.AF_INET
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a client that went away


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *arguments):
        pass

    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header('X-Server', name)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def file(self, file):
        path = pathlib.Path(docroot, file)
        return path.read_bytes() if '/' not in file and path.is_file() else None

    def chunked(self, body):
        self.send_response(200)
        self.send_header('X-Server', name)
        self.send_header('Transfer-Encoding', 'chunked')
        self.end_headers()
        for start in range(0, len(body), 10007):
            chunk = body[start:start + 10007]
            self.wfile.write(b'%x\r\n%s\r\n' % (len(chunk), chunk))
        self.wfile.write(b'0\r\n\r\n')

    def do_GET(self):
        path, _, query = self.path.partition('?')
        verb, _, argument = path[1:].partition('/')
        if verb == 'echo':
            self.answer(f'{name} {query}\n'.encode())
        elif verb == 'slow':
            time.sleep(int(argument) / 1000)
            self.answer(f'{name} {argument}\n'.encode())
        elif verb == 'peer':
            self.answer('{} {}:{}\n'.format(name, *self.client_address[:2]).encode())
        elif verb in ('file', 'chunked') and (body := self.file(argument)) is not None:
            (self.answer if verb == 'file' else self.chunked)(body)
        else:
            self.answer(b'not here\n', 404)

    do_HEAD = do_GET

    def body_parts(self):
        if self.headers.get('Transfer-Encoding') == 'chunked':
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get('Content-Length', 0))
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                raise ConnectionError('the body breaks off')
            left -= len(part)
            yield part

    def do_POST(self):
        digest = hashlib.sha256()
        for part in self.body_parts():
            digest.update(part)
        self.answer(digest.hexdigest().encode())


Server((address, int(port)), Handler).serve_forever()
