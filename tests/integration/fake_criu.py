#!/usr/bin/env python3
"""A criu for tests on machines whose kernel the real one does not know: it answers the request for
its version, and then does what FAKE_CRIU says:

refuse   writes a log as CRIU does, and refuses
die      ends without an answer
hang     waits until it is killed
"""
import os
import socket
import sys
import time


def number(value):
    out = b''
    while True:
        byte = value & 0x7f
        value >>= 7
        out += bytes([byte | (0x80 if value else 0)])
        if not value:
            return out


def member(key, value):
    if isinstance(value, bytes):
        return number(key << 3 | 2) + number(len(value)) + value
    return number(key << 3) + number(value)


connection = socket.socket(fileno=int(sys.argv[2]))
kind = 10
while kind in (9, 10):  # features, version: further requests may follow
    request = connection.recv(65536)
    if not request:
        sys.exit(0)
    kind = request[1]
    if kind == 10:
        version = member(1, 3) + member(2, 17) + member(4, 1)
        connection.send(member(1, kind) + member(2, 1) + member(10, version))
    if kind == 9:
        connection.send(member(1, kind) + member(2, 1) + member(8, member(1, 1) + member(2, 1)))
mode = os.environ['FAKE_CRIU']
if mode == 'hang':
    time.sleep(600)
if mode == 'refuse':
    name = 'dump.log' if kind == 1 else 'restore.log'
    with open(os.path.join(os.environ['FAKE_CRIU_LOG'], name), 'w', encoding='ascii') as log:
        log.write('(00.001) Error (criu/util.c:642): exited, status=1\n'
                  '(00.002)      1: Error (criu/x.c:7): The moon is full.\n'
                  '(00.003) Error (criu/y.c:8): Everything FAILED.\n')
    connection.send(member(1, kind) + member(2, 0) + member(7, 17))
sys.exit(1)
