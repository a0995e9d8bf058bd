"""Haraka, as npm has it."""

import json
import os
import shutil
import subprocess

from measure.machine import REPOSITORY
from measure.relay import Relay

PEER = os.path.join(REPOSITORY, "target/peers/haraka/node_modules/Haraka")


class Haraka(Relay):
    name = "haraka"
    durability = "a file for each message, synced"

    def version(self):
        with open(os.path.join(PEER, "package.json")) as file:
            return "Haraka " + json.load(file)["version"]

    def configure(self, sites, idle, certificate):
        host, port = self.address
        routes = {domain: json.dumps({"action": "continue", "nexthop": "%s:%d" % to}) for domain, to in sites.items()}
        # Its own defaults stand in these files alone.
        shutil.copytree(os.path.join(PEER, "config"), self.path("config"))
        # What is relayed for a client goes to its own queue, and from there where the plugin says.
        self.write("config/plugins", "relay\n")
        self.write("config/smtp.ini", f"listen={host}:{port}\n")
        self.write("config/me", "haraka.test\n")
        self.write("config/outbound.ini", "local_mx_ok=true\n")
        self.write("config/relay.ini", "[relay]\nacl=true\nforce_routing=true\n")
        self.write("config/relay_acl_allow", "127.0.0.0/8\n")
        self.write("config/relay_dest_domains.ini", "[domains]\n" + "".join(f"{domain}={to}\n" for domain, to in routes.items()))
        self.write("package.json", "{}")

    def command(self):
        return self.of_this()

    def of_this(self, *arguments):
        return ["node", os.path.join(PEER, "bin/haraka"), "-c", self.folder, *arguments]

    def retry(self):
        subprocess.run(self.of_this("--qunstick", "true"), check=True, capture_output=True)
