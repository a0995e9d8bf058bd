"""A hook: it checks who asks, and takes messages with a word in them for spam."""

import base64, hashlib, hmac, http.server, json, sys, time

KEY = b"the key"


def is_signed(header, body):
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    time_stamp = parts.get("t", "")
    if not time_stamp.isdigit() or abs(time.time() - int(time_stamp)) > 300:
        return False
    expected = hmac.new(KEY, time_stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts.get("v1", ""))


class Hook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not is_signed(self.headers.get("Gatepost-Signature", ""), body):
            return self.send_error(403)
        question = json.loads(body)
        content = base64.b64decode(question["content"].get("base64", ""))
        if b"lottery" not in content:
            self.send_response(204)
            return self.end_headers()
        answer = {
            "verdict": "spam",
            "action": "hold",
            "names": ["lottery"],
            "changes": [{"add": "X-Lottery", "value": question["envelope"]["sender"]}],
        }
        octets = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Hook).serve_forever()
