"""aiosmtpd as an LMTP server: it answers the content once, however many recipients there are.

Usage: lmtp_server.py SETTINGS, a JSON object with `address`, `port`, `record`. Writes each message to `record` as a line of JSON.
"""

import asyncio
import json
import sys

from aiosmtpd.lmtp import LMTP

SETTINGS = json.loads(sys.argv[1])


class Record:
    async def handle_DATA(self, server, session, envelope):
        with open(SETTINGS["record"], "a", encoding="utf-8") as record:
            record.write(json.dumps({"to": envelope.rcpt_tos}) + "\n")
        return "250 2.0.0 taken"


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: LMTP(Record(), hostname="aiosmtpd.test", loop=loop), SETTINGS["address"], SETTINGS["port"]
    )
    await server.serve_forever()


asyncio.run(serve())
