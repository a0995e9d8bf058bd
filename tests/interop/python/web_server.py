"""An HTTPS server: the policy hosts of MTA-STS, a receiver of TLS reports, and a token endpoint (OAuth 2.0, client
credentials).

Usage: web_server.py SETTINGS, a JSON object with `address`, `port`, `certificate`, `key` (PEM), `record`, and as needed:
`pages`       a file with a JSON object: the text to give for GET, by host name; read anew each time
`token_path`  where tokens are given for POST
`tokens`      the file to which tokens that were given out are added, one a line
`secret`      the client secret that is taken; without it any signed assertion is, and the test looks at its record
`expires_in`  how long a token is said to be good, in seconds
Writes each request to `record` as a line of JSON.
"""

import gzip
import http.server
import json
import ssl
import sys
import urllib.parse

SETTINGS = json.loads(sys.argv[1])


def write(**what):
    with open(SETTINGS["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(what) + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    given = 0

    def do_GET(self):
        host = self.headers.get("Host", "").split(":")[0]
        write(get=self.path, host=host)
        with open(SETTINGS["pages"], encoding="utf-8") as file:
            page = json.load(file).get(host)
        if page is None or self.path != "/.well-known/mta-sts.txt":
            return self.give(404, "text/plain", "no such page")
        return self.give(200, "text/plain", page)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        kind = self.headers.get("Content-Type")
        if kind == "application/tlsrpt+gzip":
            report = json.loads(gzip.decompress(self.rfile.read(length)))
            write(report=report, path=self.path, host=self.headers.get("Host"))
            return self.give(201, "text/plain", "")
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode(), strict_parsing=True))
        write(post=self.path, form=form)
        if self.path != SETTINGS["token_path"] or form.get("grant_type") != "client_credentials":
            return self.give(400, "application/json", '{"error":"invalid_request"}')
        secret = SETTINGS.get("secret")
        if secret is not None and form.get("client_secret") != secret:
            return self.give(401, "application/json", '{"error":"invalid_client"}')
        if secret is None and "client_assertion" not in form:
            return self.give(401, "application/json", '{"error":"invalid_client"}')
        Handler.given += 1
        token = f"token-{Handler.given}"
        with open(SETTINGS["tokens"], "a", encoding="utf-8") as file:
            file.write(token + "\n")
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": SETTINGS["expires_in"]}
        return self.give(200, "application/json", json.dumps(answer))

    def give(self, status, media_type, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        connection, address = super().get_request()
        connection.settimeout(20)
        return connection, address

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's own thread: a slow one shall not stop the others.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
        request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        write(broken=str(sys.exc_info()[1]))


Server((SETTINGS["address"], SETTINGS["port"]), Handler).serve_forever()
