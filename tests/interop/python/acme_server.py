"""Stands before an ACME server and adds what that one lacks: when to renew (RFC 9773), profiles, nonces that are refused
now and then, and outages. All else goes through as it is.

Usage: acme_server.py SETTINGS, a JSON object with `address`, `port`, `certificate`, `key` (PEM), `record`, and
`behind`  host and port of the server behind, HTTPS
`state`   a file with a JSON object, read anew for each request:
  `profiles`  names of profiles with a text each
  `window`    when to renew: seconds from now for the begin and the end; without it nothing is said of renewal
  `silent`    leave out Retry-After where it is said
  `refuse`    of so many POSTs in a row all but one are refused for their nonce
  `down`      answer nothing but 503
  `later`     Retry-After of all answers
  `limited`   refuse all orders as too many, with this Retry-After
  `nonces`    where nonces are, in place of the right address
  `name`      the name that is to be proven, in place of the right one
  `token`     the token of each challenge, likewise
  `bare`      say nothing of the certificate that an order replaces
  `chain`     give this text for a certificate
Writes what is ordered, who asks about renewal, and who may be written to, to `record` as a line of JSON.
"""

import base64
import datetime
import http.client
import http.server
import json
import ssl
import sys
import threading

SETTINGS = json.loads(sys.argv[1])
LOCK = threading.Lock()
PROBLEM = "application/problem+json"


def write(**what):
    with LOCK, open(SETTINGS["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(what) + "\n")


def state():
    with open(SETTINGS["state"], encoding="utf-8") as file:
        return json.load(file)


def unpacked(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) or b"null")


def moment(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    posts = 0

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        now = state()
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if now.get("down"):
            return self.give(503, {"Content-Type": "text/html"}, b"<p>down</p>")
        if self.path.startswith("/renewal-info/"):
            return self.renewal(now)
        if self.command == "POST" and self.is_refused(now):
            problem = {"type": "urn:ietf:params:acme:error:badNonce", "detail": "not this one", "status": 400}
            write(refused=self.path)
            fields = {"Content-Type": PROBLEM, "Replay-Nonce": self.nonce()}
            return self.give(400, fields, json.dumps(problem).encode())
        if self.path == "/order-plz" and "limited" in now:
            problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many of you", "status": 429}
            write(limited=self.path)
            fields = {"Content-Type": PROBLEM, "Replay-Nonce": self.nonce(), "Retry-After": now["limited"]}
            return self.give(429, fields, json.dumps(problem).encode())
        status, fields, answer = self.forward(self.command, self.path, body)
        if self.path == "/dir" and status == 200:
            answer = self.directory(now, answer)
        if self.path == "/order-plz":
            answer = self.ordered(now, status, body, answer)
        if self.path.startswith("/my-account/"):
            write(contact=unpacked(json.loads(body)["payload"])["contact"])
        if self.path.startswith("/authZ/") and status == 200:
            answer = self.authorization(now, answer)
        if self.path.startswith("/certZ/") and "chain" in now:
            answer = now["chain"].encode()
        if "later" in now:
            fields["Retry-After"] = now["later"]
        return self.give(status, fields, answer)

    def is_refused(self, now):
        if not now.get("refuse"):
            return False
        with LOCK:
            Handler.posts += 1
            return Handler.posts % now["refuse"] != 0

    def renewal(self, now):
        write(renewal=self.path)
        begin, end = now["window"]
        answer = {"suggestedWindow": {"start": moment(begin), "end": moment(end)}}
        fields = {"Content-Type": "application/json"}
        if not now.get("silent"):
            fields["Retry-After"] = now.get("later", "21600")
        self.give(200, fields, json.dumps(answer).encode())

    def directory(self, now, answer):
        answer = json.loads(answer)
        if now.get("window"):
            answer["renewalInfo"] = f"https://{self.headers['Host']}/renewal-info"
        if now.get("profiles"):
            answer["meta"]["profiles"] = now["profiles"]
        answer["newNonce"] = now.get("nonces", answer["newNonce"])
        return json.dumps(answer).encode()

    def authorization(self, now, answer):
        answer = json.loads(answer)
        if "name" in now:
            answer["identifier"]["value"] = now["name"]
        for challenge in answer["challenges"]:
            challenge["token"] = now.get("token", challenge["token"])
        return json.dumps(answer).encode()

    def ordered(self, now, status, body, answer):
        asked = unpacked(json.loads(body)["payload"])
        signed = unpacked(json.loads(body)["protected"])
        names = [one["value"] for one in asked["identifiers"]]
        wishes = {key: asked[key] for key in ("profile", "replaces") if key in asked}
        write(ordered=names, status=status, account=signed["kid"], **wishes)
        if status >= 400 or "bare" in now:
            return answer
        return json.dumps(json.loads(answer) | wishes).encode()

    def nonce(self):
        _, fields, _ = self.forward("HEAD", "/nonce-plz", b"")
        return fields["Replay-Nonce"]

    def forward(self, command, path, body):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(SETTINGS["behind"], context=context, timeout=20)
        # Addresses are made, and checked, by the name under which it is asked.
        fields = {"Host": self.headers["Host"]}
        if body:
            fields["Content-Type"] = self.headers["Content-Type"]
        connection.request(command, path, body, fields)
        answer = connection.getresponse()
        octets = answer.read()
        connection.close()
        left_out = ("content-length", "connection", "transfer-encoding", "date")
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in left_out}
        return answer.status, kept, octets

    def give(self, status, fields, octets):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(octets)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        connection, address = super().get_request()
        connection.settimeout(20)
        return connection, address

    def finish_request(self, request, client_address):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(SETTINGS["certificate"], SETTINGS["key"])
        request = context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        write(broken=str(sys.exc_info()[1]))


Server((SETTINGS["address"], SETTINGS["port"]), Handler).serve_forever()
