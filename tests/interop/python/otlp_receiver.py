"""A receiver of spans: OTLP over HTTP, read by OpenTelemetry's own messages.

Usage: otlp_receiver.py SETTINGS, a JSON object with `address`, `port`, `record`, `modules` (where the messages are) and as needed:
`statuses`  status codes to answer with first, one for each request; then 200
Writes each request to `record` as a line of JSON, and one for each span of a request that is taken.
"""

import http.server
import json
import sys

SETTINGS = json.loads(sys.argv[1])
sys.path.insert(0, SETTINGS["modules"])

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service  # noqa: E402
from opentelemetry.proto.trace.v1 import trace_pb2  # noqa: E402

STATUSES = list(SETTINGS.get("statuses", []))


def write(**what):
    with open(SETTINGS["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(what) + "\n")


def attributes(pairs):
    values = {pair.key: pair.value for pair in pairs}
    return {key: getattr(value, value.WhichOneof("value")) for key, value in values.items()}


def spans(request):
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield {
                    "resource": attributes(of_resource.resource.attributes),
                    "scope": of_scope.scope.name,
                    "name": span.name,
                    "kind": trace_pb2.Span.SpanKind.Name(span.kind),
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "links": [link.trace_id.hex() + "-" + link.span_id.hex() for link in span.links],
                    "start": span.start_time_unix_nano,
                    "end": span.end_time_unix_nano,
                    "attributes": attributes(span.attributes),
                    "status": trace_pb2.Status.StatusCode.Name(span.status.code),
                }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status = STATUSES.pop(0) if STATUSES else 200
        write(post=self.path, kind=self.headers["Content-Type"], authorization=self.headers["Authorization"], status=status)
        if status == 200:
            # Fields that nobody knows would be lost without a word.
            request = service.ExportTraceServiceRequest.FromString(body)
            assert request.SerializeToString() == body
            for span in spans(request):
                write(span=span)
        answer = service.ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((SETTINGS["address"], SETTINGS["port"]), Handler).serve_forever()
