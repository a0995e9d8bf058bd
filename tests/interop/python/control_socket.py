"""Asks a running relay everything that its description of the control socket tells of, and looks
whether each answer is as described: `control_socket.py SOCKET`.

The judge of the answers is python3-jsonschema. No field may come that is not described.
"""

import http.client
import json
import socket
import sys

from jsonschema import Draft202012Validator


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("gatepost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


# What each answer says of the methods that there are.
allowed = []


def ask(method, path, body=None):
    connection = Connection(sys.argv[1])
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, body if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    allowed.append(answer.headers["Allow"])
    return answer.status, json.loads(text)


status, description = ask("GET", "/v1/openapi.json")
assert status == 200 and description["openapi"].startswith("3.1."), description
components = description["components"]
for name, schema in components["schemas"].items():
    Draft202012Validator.check_schema(schema)
    # Those in the branches of a choice are known.
    schema["unevaluatedProperties"] = False


def check(what, schema, value):
    """Names of other schemas are found in the same document."""
    validator = Draft202012Validator({"allOf": [schema], "components": components})
    for error in validator.iter_errors(value):
        sys.exit(f"{what}: {error.message} at {list(error.absolute_path)}")


def schema_of(content, kind="application/json"):
    return content["content"][kind]["schema"]


tried = set()


def call(method, path, status, body=None, **parts):
    """Asks, and gives the answer; `parts` fill the braces of the path, and its query."""
    operation = description["paths"][path][method]
    tried.add((method, path))
    for parameter in operation["parameters"]:
        if parameter["name"] in parts and status == 200:
            check(path, parameter["schema"], parts[parameter["name"]])
    filled, query = path, []
    for name, value in parts.items():
        if "{" + name + "}" in path:
            filled = filled.replace("{" + name + "}", str(value))
        else:
            query.append(f"{name}={value}")
    if body is not None and status == 200:
        check(path, schema_of(operation["requestBody"]), body)
    got, answer = ask(method.upper(), filled + ("?" + "&".join(query) if query else ""), body)
    assert got == status, (method, path, got, answer)
    expected = operation["responses"].get(str(got))
    if expected is None:
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Refused"}
        expected = components["responses"]["Refused"]
    check(f"{method} {path}", schema_of(expected), answer)
    return answer


def follow(method, path, body=None, **parts):
    """Gives the events of an answer, each as described, as they come."""
    operation = description["paths"][path][method]
    tried.add((method, path))
    schema = schema_of(operation["responses"]["200"], "text/event-stream")
    connection = Connection(sys.argv[1])
    query = "&".join(f"{name}={value}" for name, value in parts.items())
    headers = {"Content-Type": "application/json"}
    text = body if body is None else json.dumps(body)
    connection.request(method.upper(), path + ("?" + query if query else ""), text, headers)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream", path
    for line in answer:
        line = line.rstrip(b"\n")
        if line.startswith(b"data: "):
            event = json.loads(line.removeprefix(b"data: "))
            check(path, schema, event)
            yield event
        else:
            assert line in (b"", b":"), line
    connection.close()


call("get", "/v1/openapi.json", 200)
assert call("get", "/v1/status", 200)["queue"]["waiting"] == 1
[row] = call("get", "/v1/queue", 200, filter="state:waiting", limit=5)
call("get", "/v1/queue", 400, filter="stat:held")
call("get", "/v1/queue", 400, limit="many")
call("get", "/v1/queue/count", 200, filter="id:" + row["id"])
page = call("get", "/v1/queue/page", 200, filter="id:" + row["id"], looks=1)
assert row["id"] in [one["id"] for one in page["rows"]], page
shape = call("get", "/v1/queue/shape", 200, limit=1)
assert len(shape) == 1
assert call("get", "/v1/queue/shape", 200, after=shape[0]["site"]) == []
assert len(call("get", "/v1/queue/shape", 200)) == 1
rates = call("get", "/v1/rates", 200)
assert rates["step_seconds"] == 60 and len(rates["received"]) == 60, rates
assert sum(rates["received"]) == 3 and sum(rates["refused"]) == 1, rates
[why] = rates["why_refused"]
assert why["status"] == "550 5.7.1" and why["count"] == 1 and why["place"], why
assert len(call("get", "/v1/rates", 200, **{"for": "24h"})["queued"]) == 96
call("get", "/v1/rates", 400, **{"for": "long"})
known = call("get", "/v1/devices", 200, **{"for": "7d", "limit": 5})
[stranger] = known["not_permitted"]
assert stranger["refusals"] == 1 and stranger["senders"] == ["ann@client.test"], stranger
assert stranger["refusal"]["place"] == why["place"] and known["devices"] == [], known
call("get", "/v1/devices", 400, limit="many")
pause = {"by": "root", "site": row["site"], "reason": "a test", "lasting": "1h"}
call("post", "/v1/queue/pause", 200, pause)
call("post", "/v1/queue/pause", 422, {"reason": "who says so?"})
call("post", "/v1/queue/pause", 400, {"by": "root", "lasting": "long"})
assert len(call("get", "/v1/queue/pauses", 200)) == 1
call("post", "/v1/queue/resume", 200, {"site": row["site"]})
call("post", "/v1/queue/resume", 404, {"site": row["site"]})
assert call("get", "/v1/acme", 200, wait=1) == []
call("post", "/v1/acme/renew", 404, {"name": "relay.test"})
begun = call("post", "/v1/queue/{verb}", 200, {"filter": "id:" + row["id"], "by": "root"}, verb="hold")
call("post", "/v1/queue/{verb}", 404, {"filter": "", "by": "root"}, verb="forward")
call("post", "/v1/queue/{verb}", 422, {"filter": ""}, verb="hold")
number = begun["number"]
assert call("get", "/v1/queue/operations/{number}", 200, number=number, wait=60)["state"] == "done"
call("get", "/v1/queue/operations/{number}", 404, number=number + 1)
assert len(call("get", "/v1/queue/operations", 200)) == 1
call("post", "/v1/queue/operations/{number}/stop", 404, number=number + 1)
page = call("get", "/v1/track", 200, filter="id:" + row["id"], limit=9)
assert page["rows"][0]["result"] == "held", page
assert call("get", "/v1/track", 200, after=0)["rows"][0]["number"] == 1
call("get", "/v1/track", 400, filter="state:waiting")
[traced] = call("get", "/v1/trace/{id}", 200, id=row["id"])["messages"]
assert traced["rows"][0]["to"] == row["to"], traced
call("get", "/v1/trace/{id}", 404, id="nothing@nowhere.test")
call("get", "/v1/trace/{id}", 404, id="nothing@nowhere.test", looks=1)
call("get", "/v1/transcripts/{name}", 200, name=row["id"])
call("get", "/v1/transcripts/{name}", 400, name="nobody")
asked = {"client": "127.0.0.0/8", "lasting": "1h"}
assert call("post", "/v1/log/traces", 200, asked)[0]["kind"] == "client"
call("post", "/v1/log/traces", 400, {"lasting": "1h"})
assert call("get", "/v1/log/traces", 200)[0]["whom"] == "127.0.0.0/8"
assert call("get", "/v1/guardian", 200, limit=5) == [], "what was sent is for a domain of ours"
call("post", "/v1/guardian/clear", 404, {"kind": "user", "name": "nobody"})
call("post", "/v1/guardian/clear", 422, {"kind": "user"})
call("get", "/v1/greylist", 200, limit=5)
call("post", "/v1/greylist/clear", 404, {"kind": "client", "name": "192.0.2.1"})
approach = {"client": "192.0.2.1", "sender": "ann@client.test", "recipient": row["to"]}
assert call("post", "/v1/greylist/check", 200, approach)["result"] == "waits"
call("post", "/v1/greylist/check", 400, {**approach, "client": "nowhere"})
call("get", "/v1/reputation", 200, client="192.0.2.1", domain="client.test")
client = call("get", "/v1/sessions", 200)[0]
assert call("get", "/v1/sessions", 200, only="in", limit=1) == call("get", "/v1/sessions", 200, id=client["id"])
call("get", "/v1/sessions", 400, only="all")
call("get", "/v1/sessions", 400, after="me")
call("post", "/v1/sessions/{id}/kill", 200, id=client["id"])
call("post", "/v1/sessions/{id}/kill", 404, id="in-0")
[quarantined] = call("get", "/v1/quarantine", 200, filter="", limit=5)
page = call("get", "/v1/quarantine/page", 200, looks=1000)
assert [row["id"] for row in page["rows"]] == [quarantined["id"]], page
assert quarantined["rule"] == "eve's" and quarantined["to"] == "eve@hosted.test", quarantined
call("get", "/v1/quarantine", 400, filter="stat:held")
shown = call("get", "/v1/quarantine/{id}", 200, id=quarantined["id"])
assert shown["recipients"][0]["subject"] == "kept", shown
call("get", "/v1/quarantine/{id}", 404, id=row["id"])
report = call("get", "/v1/quarantine/report", 200, filter="")
assert report["rules"] == [{"name": "eve's", "count": 1}], report
[bad] = call("get", "/v1/queue", 200, filter="state:badmail")
shown = call("get", "/v1/badmail/{id}", 200, id=bad["id"])
assert shown["recipients"][0]["reason"] == bad["last_reply"] and shown["fields"], shown
call("get", "/v1/badmail/{id}", 404, id=quarantined["id"])
call("get", "/v1/badmail/{id}", 400, id="none")
call("get", "/v1/quarantine/{id}", 404, id=bad["id"])
named = {"filter": "id:" + row["id"], "by": "root"}
without = "/v1/quarantine/{id}/release-without-attachments"
refused = call("post", without, 409, {"filter": "", "by": "root"}, id=quarantined["id"])
assert "no attachments" in refused["error"], refused
call("post", without, 404, named, id=row["id"])
call("post", without, 422, {"filter": ""}, id=quarantined["id"])
lesson = {"lesson": "spam", "by": "root"}
learned = call("post", "/v1/quarantine/{id}/learn", 200, lesson, id=quarantined["id"])
assert learned["answers"][0]["result"] == "failed", "there is no spamd at that address"
call("post", "/v1/quarantine/{id}/learn", 404, lesson, id=row["id"])
call("post", "/v1/quarantine/{id}/learn", 422, {**lesson, "lesson": "eggs"}, id=quarantined["id"])
told = call("post", "/v1/quarantine/digest", 200)["to"]
assert set(told) <= {"eve@hosted.test"}, told
call("post", "/v1/quarantine/link", 404, {"token": "x"})
call("post", "/v1/quarantine/link/{verb}", 404, {"token": "x"}, verb="release")
released = call("post", "/v1/quarantine/release", 200, named)
assert released["filter"] == "id:" + row["id"] + " state:quarantined", released
call("post", "/v1/quarantine/release", 400, {"filter": "stat:held", "by": "root"})
deleted = call("post", "/v1/quarantine/delete", 200, {"filter": "", "by": "root"})
ended = call("get", "/v1/queue/operations/{number}", 200, number=deleted["number"], wait=60)
assert ended["changed"] == 1, ended
call("post", "/v1/quarantine/delete", 422, {"filter": ""})
config = call("get", "/v1/config", 200)
assert config["writable"] and not config["changed"] and "eve@hosted.test" in config["text"], config
everything = call("get", "/v1/config/options", 200)
[allow] = [option for option in everything if option["key"] == "relay.allow"]
assert allow["takes"] and allow["meaning"] and allow["schema"], allow
assert any(value["place"] != "default" for option in everything for value in option["values"])
for log in call("get", "/v1/log/protocol", 200):
    tail = call("get", "/v1/log/protocol/{name}", 200, name=log["name"], lines=5, word="mail")
    assert len(tail["lines"]) <= 5 and all("mail" in line.lower() for line in tail["lines"]), tail
call("get", "/v1/log/protocol/{name}", 404, name="none")
new = call("get", "/v1/config/options", 200, within="listener.NAME")
assert new and all(one["key"].startswith("listener.NAME.") and not one["values"] for one in new), new
one = call("get", "/v1/config/options", 200, within="listener.internet")
assert [option["key"] for option in one] == [option["key"] for option in new], one
assert all(value["key"].startswith("listener.internet.") for option in one for value in option["values"]), one
assert any(option["values"] for option in one), one
permit = {"edits": [{"key": "relay.allow", "change": "append", "value": '"198.51.100.7"'}]}
trial = call("post", "/v1/config/try", 200, permit)
assert trial["errors"] == [] and trial["refused"] is None and trial["restart"] == [], trial
assert [one["who"] for one in trial["effect"]["gained"]] == ["198.51.100.7"], trial
assert trial["effect"]["lost"] == [] and trial["effect"]["closed_after"], trial
assert trial["effect"]["replay"]["decisions"] >= 2, trial
assert trial["expected_hash"] == config["hash"], trial
wrong = call("post", "/v1/config/try", 200, {"text": "relay.alow = []\n"})["errors"]
assert wrong[0]["line"] == 1 and "did you mean `allow`?" in wrong[0]["text"], wrong
call("post", "/v1/config/try", 400, {**permit, "text": ""})
call("post", "/v1/config/try", 409, {"edits": [{"key": "relay", "change": "set", "value": "1"}]})
change = {**permit, "expected_hash": config["hash"], "by": "root", "reason": "a test"}
call("post", "/v1/config/apply", 422, permit)
call("post", "/v1/config/apply", 409, {**change, "expected_hash": "0"})
applied = call("post", "/v1/config/apply", 200, change)
assert applied["applied"] and '"198.51.100.7"' in applied["diff"], applied
assert call("get", "/v1/config", 200)["hash"] == applied["hash"]
newest, oldest = call("get", "/v1/config/versions", 200)
assert newest["current"] and newest["by"] == "root" and newest["reason"] == "a test", newest
assert oldest["hash"] == config["hash"] and oldest["by"] is None, oldest
back = {"version": oldest["number"], "by": "root"}
call("post", "/v1/config/roll-back", 404, {**back, "version": 99})
call("post", "/v1/config/roll-back", 409, {**back, "expected_hash": "0"})
assert call("post", "/v1/config/roll-back", 200, back)["hash"] == config["hash"]
assert len(call("get", "/v1/config/versions", 200)) == 3
posture = call("get", "/v1/relay/posture", 200)
assert posture["is_closed"] and posture["may_relay"][0]["text"] == "1 entry in relay.allow", posture
assert call("get", "/v1/relay/prove", 200) == {"last": None}
proved = call("post", "/v1/relay/prove", 200, {})
assert proved["proof"]["verdict"] == "closed" and proved["proof"]["listeners"][0]["probes"], proved
assert call("get", "/v1/relay/prove", 200)["last"] == proved
call("post", "/v1/relay/prove", 400, {"sender": "nobody"})
question = {"client": "203.0.113.9", "from": "ann@client.test", "rcpt": row["to"]}
checked = call("post", "/v1/relay/check", 200, question)
assert checked["accepted"] and checked["admitted"][0]["to"] == row["to"], checked
elsewhere = call("post", "/v1/relay/check", 200, {**question, "rcpt": "bob@elsewhere.test"})
assert not elsewhere["accepted"] and elsewhere["accepted_if"], elsewhere
message = "From: <ann@client.test>\nSubject: pasted\n\ntext\n"
screened = call(
    "post", "/v1/relay/check", 200, {**question, "rcpt": "eve@hosted.test", "message": message}
)
screen = [step["text"] for step in screened["steps"] if step["step"] == "screen"]
assert screen[0] == "eve's: to eve@hosted.test: hold", screened
call("post", "/v1/relay/check", 400, {"from": "", "rcpt": row["to"]})
call("post", "/v1/relay/check", 400, {**question, "listener": "nowhere"})
call("post", "/v1/relay/check", 400, {**question, "message": "x" * ((1 << 20) + 1)})
[way] = call("get", "/v1/route/{address}", 200, address=row["to"])["ways"]
assert way["site"] == row["site"] and way["hosts"] and way["facts"], way
call("get", "/v1/route/{address}", 400, address="bob")
tested = call("post", "/v1/test/delivery", 200, {"address": "bob@served.test"})
[host] = tested["recipients"][0]["sites"][0]["hosts"]
assert host["stages"]["RCPT"] == "ok" and tested["recipients"][0]["verdict"] == "taken", tested
call("post", "/v1/test/delivery", 400, {"address": "bob"})
events = list(follow("post", "/v1/test/delivery/follow", {"address": "bob@served.test"}))
assert [event["event"] for event in events] == ["site", "host", "end"], events
assert events[1]["host"] == host and events[2]["tested"] == tested, events
found = call("post", "/v1/test/dns", 200, {"domain": "hosted.test"})["findings"]
assert found[0] == {
    "result": "ok", "subject": "hosted.test", "what": "MX", "text": "10 relay.test"
}, found
call("post", "/v1/test/dns", 200, {"addresses": ["192.0.2.1"]})
call("post", "/v1/test/dns", 400, {"domain": ".."})
nobody = {"probe": "off", "time_server": "off", "block_lists": ["off"]}
found = call("post", "/v1/doctor", 200, nobody)["findings"]
found = {finding["what"]: finding for finding in found}
assert "tls.certificate" in found["certificate"]["cure"], found
assert {"open files", "disk", "sync"} <= set(found) and not {"clock", "block lists"} & set(found), found
call("post", "/v1/doctor", 400, {**nobody, "probe": ".."})
call("post", "/v1/doctor", 400, {**nobody, "addresses": ["far"]})
assert call("get", "/v1/test/send", 200)["why_not"] is None
sent = call("post", "/v1/test/send", 200, {"to": row["to"]})
assert call("get", "/v1/queue/count", 200, filter="id:" + sent["id"])["messages"] == 1, sent
refused = call("post", "/v1/test/send", 409, {"to": "bob@elsewhere.test"})
assert refused["error"].startswith("550 5.7.1"), refused
call("post", "/v1/test/send", 400, {"to": "bob"})
lines = call("get", "/v1/log/tail", 200, level="info", word="listening")
assert lines and all("listening" in line["text"] for line in lines), lines
assert len(call("get", "/v1/log/tail", 200, lines=2)) == 2
call("get", "/v1/log/tail", 400, level="loud")
followed = follow("get", "/v1/log/follow", word="reloaded", lines=5)
typed = {"user": "viewer", "password": "secret", "client": "192.0.2.1"}
assert call("post", "/v1/console/sign-in", 200, typed)["role"] == "viewer"
call("post", "/v1/console/sign-in", 401, {**typed, "password": "guess"})
call("post", "/v1/console/sign-in", 400, {**typed, "client": "nowhere"})
call("post", "/v1/console/sign-in", 422, {"user": "viewer"})
assert call("post", "/v1/console/still", 200, {"user": "VIEWER"})["role"] == "viewer"
call("post", "/v1/console/still", 404, {"user": "nobody"})
call("post", "/v1/console/still", 404, {"user": "viewer", "stamp": "issuer 0 admin"})
call("get", "/v1/console/issuer", 404)
back = "http://127.0.0.1:8025/login/issuer/back"
call("post", "/v1/console/issuer/begin", 404, {"redirect": back})
call("post", "/v1/console/issuer/end", 404, {"ticket": "", "state": "", "redirect": back, "client": "127.0.0.1"})
link = call("post", "/v1/console/links", 200, {"by": "root"})
call("post", "/v1/console/links", 400, {"by": ""})
assert link["url"].endswith("/login?token=" + link["token"]), link
assert call("post", "/v1/console/redeem", 200, {"token": link["token"]})["name"] == "root"
call("post", "/v1/console/redeem", 401, {"token": link["token"]})
call("post", "/v1/reload", 200)
event = next(followed)
assert event["event"] == "line" and "reloaded" in event["line"]["text"], event
followed.close()
call("get", "/v1/log/follow", 400, level="loud")
acts = call("get", "/v1/audit", 200, limit=1000)
assert acts[0]["verb"] == "reload" and acts[0]["result"] == "done", acts[0]
assert {act["way"] for act in acts} == {"command line", "relay", "console"}, acts
assert [act["number"] for act in acts] == list(range(len(acts), 0, -1)), acts
assert [act["count"] for act in acts if act.get("operation") == deleted["number"] and "count" in act] == [1], acts
assert "greylist/check" not in {act["verb"] for act in acts}, "it changes nothing"
assert call("get", "/v1/audit", 200, before=2) == acts[-1:]
assert acts[-1]["verb"] == "queue/pause" and acts[-1]["reason"] == "a test", acts[-1]
call("get", "/v1/audit", 400, before="now")

for method, path in (("GET", "/v1/nothing"), ("DELETE", "/v1/status")):
    status, answer = ask(method, path)
    assert status in (404, 405), (method, path, status)
    check(path, schema_of(components["responses"]["Refused"]), answer)
# RFC 9110 section 15.5.6: a method that is not there is refused with those that are.
assert allowed.pop() == "GET,HEAD", allowed

# The last one: another program answers from then on.
call("post", "/v1/upgrade", 200)

described = {(method, path) for path, calls in description["paths"].items() for method in calls}
assert tried == described, f"not tried here: {described - tried}"
