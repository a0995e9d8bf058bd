"""A device by wolfSSL: says EHLO and QUIT under TLS from the first octet on, and prints the first line of each reply, or how it failed.

Usage: wolfssl_client.py HOST PORT
"""

import ctypes
import ctypes.util
import socket
import sys

wolf = ctypes.CDLL(ctypes.util.find_library("wolfssl"))
for function in ("wolfTLSv1_3_client_method", "wolfSSL_CTX_new", "wolfSSL_new"):
    getattr(wolf, function).restype = ctypes.c_void_p
POINTER = ctypes.c_void_p

server = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30)
server.settimeout(None)
wolf.wolfSSL_Init()
context = wolf.wolfSSL_CTX_new(POINTER(wolf.wolfTLSv1_3_client_method()))
wolf.wolfSSL_CTX_set_verify(POINTER(context), 0, None)
session = POINTER(wolf.wolfSSL_new(POINTER(context)))
wolf.wolfSSL_set_fd(session, server.fileno())


def checked(result):
    if result < 1:
        sys.exit("wolfSSL error %d" % wolf.wolfSSL_get_error(session, result))
    return result


def reply():
    room = ctypes.create_string_buffer(65536)
    size = checked(wolf.wolfSSL_read(session, room, len(room)))
    print(room.raw[:size].decode().splitlines()[0], flush=True)


checked(wolf.wolfSSL_connect(session))
reply()
for command in (b"EHLO device.test\r\n", b"QUIT\r\n"):
    checked(wolf.wolfSSL_write(session, command, len(command)))
    reply()
