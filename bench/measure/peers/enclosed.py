"""A relay whose paths were fixed when it was built, in a root folder of its own: programs are the machine's, what it writes is in its folder."""

import gzip
import os
import re

from measure.relay import Relay

# Accounts that a package would have made on the machine, all but root under the number of `nobody`.
NOBODY = 65534
SHARED = ("usr", "dev", "proc", "tmp")


class Enclosed(Relay):
    # Its name, that of its package, where that is unpacked, and the accounts it looks up.
    words = debian = package = None
    accounts = ()
    # Folders that its package would have made: path, owner, mode.
    folders = ()

    def root(self, name):
        return self.path(os.path.join("root", name.lstrip("/")))

    def prepare(self):
        for name in (*SHARED, "peer", "etc", "run"):
            os.makedirs(self.root(name))
        # As in Debian's own root folder.
        for name in ("bin", "sbin", "lib", "lib64"):
            os.symlink(f"usr/{name}", self.root(name))
        os.makedirs(self.root("var"))
        os.symlink("../run", self.root("var/run"))
        users = "".join(f"{name}:x:{NOBODY}:{NOBODY}::/nonexistent:/bin/false\n" for name in self.accounts)
        groups = "".join(f"{name}:x:{NOBODY}:\n" for name in self.accounts)
        self.write("root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n" + users)
        self.write("root/etc/group", "root:x:0:\n" + groups)
        self.write("root/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.write("root/etc/hosts", "127.0.0.1 localhost\n")
        # The resolver of OpenSMTPD's library reads this; no name server is asked.
        self.write("root/etc/resolv.conf", "lookup file\n")
        for path, owner, mode in self.folders:
            os.makedirs(self.root(path), exist_ok=True)
            os.chown(self.root(path), owner, owner)
            os.chmod(self.root(path), mode)

    def enclosed(self, command):
        """The command with all that in the places where it looks for it."""
        root, peer = self.path("root"), os.path.abspath(self.package)
        mounts = [f"mount --rbind /{name} {root}/{name}" for name in SHARED] + [f"mount --rbind {peer} {root}/peer"]
        return ["unshare", "--mount", "sh", "-c", " && ".join(mounts) + f' && exec chroot {root} "$@"', "sh", *command]

    def inside(self, command):
        """The command beside the relay that runs."""
        return ["nsenter", "--target", str(self.group.processes()[0]), "--mount", "--root", "--wd", *command]

    def version(self):
        """As its package names it."""
        with gzip.open(os.path.join(self.package, "usr/share/doc", self.debian, "changelog.Debian.gz"), "rt") as file:
            return f"{self.words} {re.search(r'[(](.*?)[)]', file.readline()).group(1)}"
