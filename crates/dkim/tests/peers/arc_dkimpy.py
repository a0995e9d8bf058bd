"""dkimpy adds a set to a chain, and says what it thinks of chains:
`arc_dkimpy.py seal KEY DOMAIN MESSAGE` prints the message with a set of DOMAIN on top, which takes
the status of the chain from the Authentication-Results of DOMAIN;
`arc_dkimpy.py verify KEYS FOLDER` prints a line for each `*.eml` of FOLDER: its name, and `none`,
`pass` or `fail`. KEYS has lines of a name and its record.
"""

import pathlib
import sys

import dkim

task, first = sys.argv[1], pathlib.Path(sys.argv[2])
if task == "seal":
    domain, message = sys.argv[3].encode(), pathlib.Path(sys.argv[4]).read_bytes()
    fields = dkim.arc_sign(message, b"k", domain, first.read_bytes(), domain)
    assert fields, "it sealed nothing"
    sys.stdout.buffer.write(b"".join(fields) + message)
else:
    keys = dict(line.split(b" ", 1) for line in first.read_bytes().splitlines())
    for path in sorted(pathlib.Path(sys.argv[3]).glob("*.eml")):
        status, _, _ = dkim.arc_verify(
            path.read_bytes(), dnsfunc=lambda name, timeout=5: keys.get(name.rstrip(b"."))
        )
        # Of a chain that somebody found broken, it says nothing.
        print(path.stem, (status or b"fail").decode())
