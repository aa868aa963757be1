"""Stands for systemd: notify_host.py SOCKET. Prints the datagrams that come, and closes the
descriptors that come along, which answers a barrier."""

import array
import os
import socket
import sys

host = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
host.bind(sys.argv[1])
while True:
    text, extra, _, _ = host.recvmsg(4096, socket.CMSG_SPACE(16))
    print(text.decode().strip().replace("\n", " "), flush=True)
    for _, _, data in extra:
        for fd in array.array("i", data):
            os.close(fd)
