#!/usr/bin/env bash
# proxy-protocol 0.11.3 (PyPI) on a version 2 header of the PROXY protocol whose command is LOCAL, as health checks send it.
#
# Guess: the address block that the family byte announces is skipped (a receiver of LOCAL ignores it), and TLVs begin behind it.
# Seen: with LOCAL the block itself is read as TLVs. The header below has no TLV at all, and a unique id comes out, made of two
# octets of the addresses. Under PROXY the same block is read as addresses.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check proxy-protocol==0.11.3

"$work/venv/bin/python" - >"$work/seen" <<'PYTHON'
import struct
from proxyprotocol.v2 import ProxyProtocolV2

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
# 5.0.2.65 port 1 to 66.0.0.0 port 0: no loopback address, and no TLV behind.
BLOCK = bytes([5, 0, 2, 65, 66, 0, 0, 0]) + struct.pack("!HH", 1, 0)
for name, command in (("LOCAL", 0x20), ("PROXY", 0x21)):
    header = SIGNATURE + bytes([command, 0x11]) + struct.pack("!H", len(BLOCK)) + BLOCK
    result = ProxyProtocolV2().unpack(header)
    print(f"{name}: {type(result).__name__}, unique id {result.tlv.unique_id!r}")
PYTHON

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
LOCAL: ProxyResultLocal, unique id b'AB'
PROXY: ProxyResultIPv4, unique id b''
SEEN
