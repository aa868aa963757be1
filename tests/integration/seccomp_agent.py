"""An agent for SCMP_ACT_NOTIFY: seccomp_agent.py SOCKET COUNT. Prints the state of each process that
the runtime sends, then its calls. mkdir is answered with ENOMEDIUM, all else goes on."""

import array
import fcntl
import os
import select
import socket
import struct
import sys

RECEIVE, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_*, linux/seccomp.h
CONTINUE = 1
NAMES = {83: "mkdir", 258: "mkdirat", 59: "execve", 126: "capset", 157: "prctl", 202: "futex"}


def receive(server):
    """The state and the listener of one process."""
    connection, _ = server.accept()
    text, listener = b"", None
    while piece := connection.recvmsg(4096, socket.CMSG_SPACE(4)):
        if not piece[0]:
            break
        text += piece[0]
        for _, _, data in piece[1]:
            listener = array.array("i", data[:4])[0]
    print(text.decode(), flush=True)
    return listener


def answer(listener):
    """Answers one call; False when the process has ended."""
    request = bytearray(80)
    try:
        fcntl.ioctl(listener, RECEIVE, request)
        call = struct.unpack_from("i", request, 16)[0]
        is_mkdir = NAMES.get(call, "").startswith("mkdir")
        error, flags = (-123, 0) if is_mkdir else (0, CONTINUE)
        print("call", NAMES.get(call, call), flush=True)
        fcntl.ioctl(listener, SEND, struct.pack("=QqiI", *struct.unpack_from("Q", request), 0, error, flags))
    except OSError:
        return False
    return True


def main():
    server = socket.socket(socket.AF_UNIX)
    server.bind(sys.argv[1] + ".new")
    server.listen(8)
    os.rename(sys.argv[1] + ".new", sys.argv[1])  # whoever sees it can connect
    poller = select.poll()
    poller.register(server, select.POLLIN)
    left = int(sys.argv[2])
    while True:
        for fd, events in poller.poll():
            if fd == server.fileno():
                listener = receive(server)
                if listener is not None:  # else the runtime gave up
                    poller.register(listener, select.POLLIN)
                left -= 1
                if left == 0:
                    poller.unregister(server)
                    server.close()
            elif events & select.POLLHUP or not answer(fd):
                poller.unregister(fd)
                os.close(fd)


main()
