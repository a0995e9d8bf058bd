//! The console as curl sees it: who gets in, and what is refused.

use std::fs;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::authority::Authority;
use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{Ran, feed, limited, need_root, path_of, run};
use crate::relay::{Relay, binary};
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until_true};

const USERS: [(&str, &str); 3] = [
    ("viewer", "viewer"),
    ("operator", "operator"),
    ("boss", "admin"),
];
const PASSWORD: &str = "correct horse battery";

/// A relay with a console and a user of each role.
struct Setup {
    relay: Relay,
    address: SocketAddr,
}

impl Setup {
    fn start(more: &str) -> Setup {
        let network = Network::new();
        let address = network.free_port(network.relay());
        // Nobody listens there: its mail waits.
        let down = network.free_port(network.relay());
        let settings = format!(
            "[console]\nbind = \"{address}\"\n{more}\
             [domain.\"hosted.test\"]\nroute = \"[{}]:{}\"\n",
            down.ip(),
            down.port()
        );
        Setup::with(Relay::prepare(network, &settings), address)
    }

    /// The same of a relay that is not started yet.
    fn with(mut relay: Relay, address: SocketAddr) -> Setup {
        for (name, role) in USERS {
            let add = ["user", "add", name, "--no-relay", "--console-role", role];
            relay.command_with(&add, PASSWORD.as_bytes()).expect_code(0);
        }
        relay.run();
        Setup { relay, address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}", self.address)
    }

    /// Asks by curl; the whole answer, fields and all.
    fn ask(&self, path: &str, more: &[&str]) -> Ran {
        let url = self.url(path);
        let arguments = [&["--silent", "--include", "--path-as-is"], more, &[&url]].concat();
        run("curl", &arguments).expect_code(0)
    }

    /// The status of an answer.
    fn status(&self, path: &str, more: &[&str]) -> u16 {
        status(&self.ask(path, more).out)
    }

    /// Sends a form, as a page of the console does.
    fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Ran {
        let (origin, cookie) = (self.origin(), format!("Cookie: {cookie}"));
        let form: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut more = vec!["--header", &origin, "--header", &cookie];
        for field in &form {
            more.extend(["--data-urlencode", field]);
        }
        self.ask(path, &more)
    }

    /// Signs in; the cookie.
    fn sign_in(&self, name: &str) -> String {
        let answer = self.post("/login", "", &[("user", name), ("password", PASSWORD)]);
        assert_eq!(status(&answer.out), 303, "{}", answer.out);
        cookie_of(&answer.out).expect("a cookie")
    }

    fn page(&self, path: &str, cookie: &str) -> String {
        self.ask(path, &["--header", &format!("Cookie: {cookie}")])
            .out
    }
}

fn status(answer: &str) -> u16 {
    let line = answer.lines().next().unwrap_or_default();
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.unwrap_or_else(|| panic!("no status: {answer}"))
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().take_while(|line| !line.is_empty());
    lines.find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn cookie_of(answer: &str) -> Option<String> {
    let set = field(answer, "set-cookie")?;
    set.split(';').next().map(str::to_owned)
}

/// What stands in each form of a session's pages.
fn token_of(page: &str) -> String {
    let (_, rest) = page
        .split_once("name=\"form\" value=\"")
        .unwrap_or_else(|| panic!("no form: {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn nobody_sees_a_page_who_is_not_signed_in_and_no_name_but_ours_leads_here() {
    let setup = Setup::start("hostnames = [\"console.hosted.test\"]\n");
    for path in [
        "/",
        "/tracking",
        "/act?do=delete&filter=",
        "/configuration/file",
        "/api/openapi.json",
    ] {
        let answer = setup.ask(path, &[]).out;
        assert_eq!(status(&answer), 303, "{path}");
        assert!(
            field(&answer, "location").is_some_and(|to| to.starts_with("/login")),
            "{answer}"
        );
    }
    let origin = setup.origin();
    for path in ["/act", "/configuration/apply", "/logout", "/theme"] {
        let answer = setup.status(path, &["--header", &origin, "--data", "do=reload"]);
        assert_eq!(answer, 401, "{path}");
    }
    let stream = ["--header", "Accept: text/event-stream"];
    assert_eq!(setup.status("/", &stream), 401);
    // DNS rebinding: somebody else's name for our address.
    for host in [
        "evil.example",
        "evil.example:8025",
        "localhost.evil.example",
        "ours@evil.example",
    ] {
        let host = format!("Host: {host}");
        assert_eq!(setup.status("/login", &["--header", &host]), 421, "{host}");
    }
    for host in [
        "localhost:1",
        "LOCALHOST",
        "relay.test",
        "console.hosted.test:9",
        "[::1]:8025",
    ] {
        let host = format!("Host: {host}");
        assert_eq!(setup.status("/login", &["--header", &host]), 200, "{host}");
    }
    for path in [
        "/assets/x/../../etc/passwd",
        "/assets/x/..%2f..%2fetc%2fpasswd",
        "/assets/x/%2e%2e",
    ] {
        let status = setup.status(path, &[]);
        assert!(matches!(status, 303 | 404), "{path}: {status}");
    }
    let answer = setup.ask("/login", &[]).out;
    let policy = field(&answer, "content-security-policy").expect("a policy");
    assert!(
        policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(field(&answer, "cache-control"), Some("no-store"));
}

#[test]
fn a_form_counts_from_a_page_of_the_session_alone() {
    let setup = Setup::start("");
    let cookie = setup.sign_in("operator");
    let set = setup
        .post(
            "/login",
            "",
            &[("user", "operator"), ("password", PASSWORD)],
        )
        .out;
    let set = field(&set, "set-cookie").expect("a cookie");
    assert!(
        set.contains("HttpOnly") && set.contains("SameSite=Strict"),
        "{set}"
    );
    let token = token_of(&setup.page("/act?do=pause", &cookie));
    let pause = [("do", "pause"), ("form", &*token), ("lasting", "1h")];
    // Of another session, of nobody, and without an origin or with another one.
    let others = token_of(&setup.page("/act?do=pause", &setup.sign_in("operator")));
    for wrong in [&*others, "", "x"] {
        let form = [("do", "pause"), ("form", wrong)];
        assert_eq!(
            status(&setup.post("/act", &cookie, &form).out),
            403,
            "{wrong}"
        );
    }
    let header = format!("Cookie: {cookie}");
    let body = format!("do=pause&form={token}");
    for origin in ["Origin: http://evil.example", "Origin: null", "X-None: 1"] {
        let more = ["--header", &header, "--header", origin, "--data", &*body];
        assert_eq!(setup.status("/act", &more), 403, "{origin}");
    }
    assert!(paused(&setup).is_empty());
    assert_eq!(status(&setup.post("/act", &cookie, &pause).out), 303);
    let paused = paused(&setup);
    assert_eq!(paused[0]["by"], "operator", "{paused:?}");
    let audit = setup.page("/audit", &cookie);
    assert!(audit.contains("queue/pause"), "{audit}");
    // Nobody says for somebody else, by a link, what the page of an act asks him.
    let page = setup.page("/act?do=pause&site=x.test&reason=evil&form=evil", &cookie);
    assert!(
        page.contains("value=\"x.test\"") && !page.contains("value=\"evil\""),
        "{page}"
    );
    // Nobody signs in by a link of somebody else's page, and a cookie that was brought is not kept.
    let body = format!("user=operator&password={PASSWORD}");
    let evil = ["--header", "Origin: http://evil.example", "--data", &*body];
    assert_eq!(setup.status("/login", &evil), 403);
    let form = [("user", "operator"), ("password", PASSWORD)];
    let fixed = setup.post("/login", "gatepost=chosen", &form).out;
    assert!(
        cookie_of(&fixed).is_some_and(|own| own != "gatepost=chosen"),
        "{fixed}"
    );
    assert_eq!(status(&setup.page("/", "gatepost=chosen")), 303);
    // Whoever signs in anew leaves no session behind, and nobody sends more than a form has.
    assert_eq!(status(&setup.post("/login", &cookie, &form).out), 303);
    assert_eq!(status(&setup.page("/", &cookie)), 303);
    let long = "x".repeat(20_000);
    let form = [("user", &*long), ("password", PASSWORD)];
    assert_eq!(status(&setup.post("/login", "", &form).out), 413);
}

fn paused(setup: &Setup) -> Vec<Value> {
    let status = setup.relay.status().expect("a status");
    status["pauses"].as_array().cloned().unwrap_or_default()
}

#[test]
fn what_has_yet_to_be_screened_is_not_among_what_a_page_would_release() {
    let setup = Setup::start(
        "[screening]\nafter_above = \"1B\"\n\
         [scanner.down]\nkind = \"clamd\"\naddress = \"/nowhere/clamd.ctl\"\n",
    );
    let mut client = Dialogue::ready(setup.relay.network.stranger(), setup.relay.address());
    let taken = client.submit("ann@client.test", &["bob@hosted.test"], &message("waits"));
    assert_eq!(taken.code, 250, "{}", taken.text());
    let operator = setup.sign_in("operator");
    for (verb, title) in [
        ("release", "Release 0 recipients"),
        ("hold", "Hold 0 recipients"),
        ("delete", "Delete 1 recipient"),
    ] {
        let page = setup.page(&format!("/act?do={verb}&filter="), &operator);
        assert!(page.contains(title), "{page}");
        assert_eq!(page.contains("bob@hosted.test"), verb == "delete", "{page}");
    }
    let counted = setup.relay.command(&["queue", "count"]).expect_code(0).out;
    let expected = "1 messages: 0 recipients wait, 1 are held, 1 of them yet to be screened";
    assert_eq!(counted.trim(), expected);
}

#[test]
fn a_message_that_is_badmail_is_looked_into_from_its_page() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |_| Some("550 5.1.1 <nobody> here"),
        ..Conduct::default()
    };
    let server = RecordingServer::start_with(network.mail_server(), conduct);
    let address = network.free_port(network.relay());
    let settings = format!(
        "[console]\nbind = \"{address}\"\n[queue]\nndr.strangers = \"badmail\"\n\
         [domain.\"known.test\"]\nroute = \"{}\"\nrecipients = [\"bob@known.test\"]\n",
        server.route()
    );
    let setup = Setup::with(Relay::prepare(network, &settings), address);
    let mut client = Dialogue::ready(setup.relay.network.stranger(), setup.relay.address());
    let text = message("<b>lost</b>");
    let taken = client.submit("ann@client.test", &["bob@known.test"], &text);
    assert_eq!(taken.code, 250, "{}", taken.text());
    setup.relay.wait_for_log(&["held as badmail"]);
    let id = setup.relay.queue()[0]["id"].as_str().map(str::to_owned);
    let id = id.expect("an id");
    let operator = setup.sign_in("operator");
    let path = format!("/badmail/{id}");
    let link = format!("href=\"{path}\"");
    let page = setup.page(&format!("/message/{id}"), &operator);
    assert!(page.contains(&link), "{page}");
    let shown = setup.page(&path, &operator);
    for words in [
        "&#60;b&#62;lost&#60;/b&#62;",
        "550 5.1.1 &#60;nobody&#62; here",
        "do=release",
        "do=delete",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let shown = setup.page(&path, &setup.sign_in("viewer"));
    assert!(
        shown.contains("lost") && !shown.contains("do=delete"),
        "{shown}"
    );
    // What an operator holds for himself is not shown.
    let filter = format!("id:{id}");
    for verb in ["release", "hold"] {
        setup.relay.command(&["queue", "pause"]).expect_code(0);
        setup
            .relay
            .command(&["queue", verb, &filter])
            .expect_code(0);
    }
    assert_eq!(status(&setup.page(&path, &operator)), 404);
    let page = setup.page(&format!("/message/{id}"), &operator);
    assert!(page.contains("held") && !page.contains(&link), "{page}");
}

#[test]
fn each_role_may_do_what_it_says_and_who_loses_it_is_out() {
    let setup = Setup::start("");
    let mut client = Dialogue::ready(setup.relay.network.stranger(), setup.relay.address());
    client.submit("ann@client.test", &["bob@hosted.test"], &message("waits"));
    let (viewer, operator) = (setup.sign_in("viewer"), setup.sign_in("operator"));
    let page = setup.page("/queues", &viewer);
    assert!(
        page.contains("bob@hosted.test") && !page.contains("do=delete"),
        "{page}"
    );
    let page = setup.page("/act?do=delete&filter=", &viewer);
    assert_eq!(status(&page), 403, "{page}");
    let form = [
        ("do", "delete"),
        ("filter", ""),
        ("form", &*token_of(&page)),
    ];
    assert_eq!(status(&setup.post("/act", &viewer, &form).out), 403);
    for path in ["/act?do=reload", "/configuration/change?key=relay.allow"] {
        assert_eq!(status(&setup.page(path, &operator)), 403, "{path}");
    }
    assert_eq!(setup.relay.queued(), 1);
    let page = setup.page("/act?do=delete&filter=to%3Abob%40hosted.test", &operator);
    assert!(page.contains("Delete 1 recipient"), "{page}");
    let form = [
        ("do", "delete"),
        ("filter", "to:bob@hosted.test"),
        ("form", &*token_of(&page)),
        ("reason", "nobody wants it"),
    ];
    assert_eq!(status(&setup.post("/act", &operator, &form).out), 303);
    setup.relay.wait_until_empty();
    setup
        .relay
        .command(&["user", "role", "operator", "none"])
        .expect_code(0);
    until_true("the operator is out", seconds(20), || {
        status(&setup.page("/", &operator)) == 303
    });
    let boss = setup.sign_in("boss");
    let password = ["user", "passwd", "boss"];
    (setup.relay)
        .command_with(&password, b"another one for him")
        .expect_code(0);
    until_true("his old password opens nothing", seconds(20), || {
        status(&setup.page("/", &boss)) == 303
    });
    assert_eq!(status(&setup.page("/", &viewer)), 200);
    let form = [("form", &*token_of(&setup.page("/", &viewer)))];
    assert_eq!(status(&setup.post("/logout", &viewer, &form).out), 303);
    assert_eq!(status(&setup.page("/", &viewer)), 303);
}

#[test]
fn a_link_signs_in_once_and_a_session_ends_by_itself() {
    let setup = Setup::start("idle_timeout = \"2s\"\n");
    let link = setup
        .relay
        .command(&["console", "login", "--json"])
        .expect_code(0);
    let link: Value = serde_json::from_str(&link.out).expect("JSON");
    let url = link["url"].as_str().expect("a link");
    assert!(url.starts_with(&setup.url("/login?token=")), "{url}");
    let token = url.split_once("token=").expect("a token").1;
    // Whoever only looks at the link uses nothing up.
    assert_eq!(setup.status(&format!("/login?token={token}"), &[]), 200);
    let answer = setup.post("/login", "", &[("token", token)]).out;
    let cookie = cookie_of(&answer).expect("a cookie");
    assert!(setup.page("/", &cookie).contains("admin"));
    assert_eq!(
        status(&setup.post("/login", "", &[("token", token)]).out),
        401
    );
    // Nothing else is a link.
    for token in ["dev", "admin", "x", "0"] {
        let answer = setup.post("/login", "", &[("token", token)]).out;
        assert_eq!(
            (status(&answer), cookie_of(&answer)),
            (401, None),
            "{token}"
        );
    }
    // A stream keeps nobody signed in, and ends with the session.
    let header = format!("Cookie: {cookie}");
    let stream = [
        "--header",
        "Accept: text/event-stream",
        "--header",
        &*header,
        "--max-time",
        "60",
    ];
    let url = setup.url("/");
    let stream = feed("curl", &[&["--silent"], &stream[..], &[&url]].concat(), b"").expect_code(0);
    assert!(stream.out.contains("event: signed-out"), "{}", stream.out);
    assert_eq!(status(&setup.page("/", &cookie)), 303);
}

/// It is one console, wherever it is reached.
#[test]
fn who_is_signed_in_at_one_address_is_so_at_the_other() {
    let network = Network::new();
    let [one, other] = [(); 2].map(|()| network.free_port(network.relay()));
    let settings = format!("[console]\nbind = [\"{one}\", \"{other}\"]\n");
    let mut relay = Relay::prepare(network, &settings);
    let add = [
        "user",
        "add",
        "boss",
        "--no-relay",
        "--console-role",
        "admin",
    ];
    relay.command_with(&add, PASSWORD.as_bytes()).expect_code(0);
    relay.run();
    let [one, other] = [one, other].map(|address| Setup {
        relay: Relay::prepare(network, ""),
        address,
    });
    let cookie = one.sign_in("boss");
    let page = other.page("/", &cookie);
    assert!(page.contains("boss"), "{page}");
    let form = [("form", &*token_of(&page))];
    assert_eq!(status(&other.post("/logout", &cookie, &form).out), 303);
    assert_eq!(status(&one.page("/", &cookie)), 303);
}

/// One of ten thousand domains is found by its name, and a page is of a size that can be read.
#[test]
fn a_page_of_the_configuration_is_of_what_was_asked_for() {
    let domains: String = (0..600)
        .map(|number| format!("[domain.\"d{number}.test\"]\nroute = \"[192.0.2.1]\"\n"))
        .collect();
    let greeting = "[listener.more]\nbind = \"127.0.0.1:0\"\nbanner = \"Host Greets You\"\n";
    let setup = Setup::start(&format!("{greeting}{domains}"));
    let cookie = setup.sign_in("boss");
    let rows = |page: &str| page.matches("<tr data-row=").count();
    let found = setup.page("/configuration?find=d599.test", &cookie);
    assert!(
        found.contains("domain.&#34;d599.test&#34;.route"),
        "{found}"
    );
    assert!(!found.contains("d598.test"), "{found}");
    let in_capitals = setup.page("/configuration?find=HoSt+GrEeTs", &cookie);
    assert!(in_capitals.contains("Host Greets You"), "{in_capitals}");
    let first = setup.page("/configuration?group=domains", &cookie);
    assert_eq!(rows(&first), 500);
    assert!(first.contains("group=domains&#38;skip=500"), "{first}");
    let one = setup.page(
        "/configuration/change?key=domain.%22d7.test%22.route",
        &cookie,
    );
    assert!(one.contains("Is now") && one.contains("192.0.2.1"), "{one}");
    let unknown = setup.page("/message/nothing%40nowhere.test", &cookie);
    assert_eq!(status(&unknown), 404);
    let none = setup.page("/tracking/download?filter=to%3Anobody%40x.test", &cookie);
    assert!(none.contains("filename=\"tracking.csv\""), "{none}");
}

/// What a page of a change leads to is applied; the answer.
fn apply(setup: &Setup, cookie: &str, tried: &str) -> String {
    let (_, form) = tried
        .split_once("action=\"/configuration/apply\"")
        .unwrap_or_else(|| panic!("nothing to apply: {tried}"));
    let fields: Vec<(String, String)> = form
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|field| {
            let (name, rest) = field.split_once("\" value=\"").expect("a value");
            let value = rest.split('"').next().unwrap_or_default();
            (name.to_owned(), plain(value))
        })
        .collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
    let applied = setup.post("/configuration/apply", cookie, &fields).out;
    assert_eq!(status(&applied), 303, "{applied}");
    fs::read_to_string(setup.relay.config()).expect("the configuration")
}

#[test]
fn listeners_and_domains_have_forms_and_rules_an_order() {
    let more = "[domain.\"new.test\"] # ours\nroute = \"[192.0.2.1]\"\n\
                # About ann.\n[[screen]]\nname = \"<ann>\"\nwhen.to = \"ann@new.test\"\nthen = \"hold\"\n\n\
                [[screen]]\nwhen.to = \"bob@new.test\"\nthen = \"refuse\"\n";
    let setup = Setup::start(more);
    let boss = setup.sign_in("boss");
    let listed = setup.page("/configuration/sections?of=domain", &boss);
    assert!(listed.contains("[domain.&#34;new.test&#34;]"), "{listed}");
    // One is changed: what is written there stands in the form, and what is left alone stays.
    let key = "key=domain.%22new.test%22";
    let form = setup.page(&format!("/configuration/section?{key}"), &boss);
    assert!(form.contains("value=\"&#34;[192.0.2.1]&#34;\""), "{form}");
    let same = "o.route=%22%5B192.0.2.1%5D%22";
    let nothing = setup.page(&format!("/configuration/try?of=domain&{key}&{same}"), &boss);
    assert!(
        nothing.contains("nothing in the form was changed"),
        "{nothing}"
    );
    let changed = "o.route=%5B192.0.2.2%5D&o.tls=require";
    let tried = setup.page(
        &format!("/configuration/try?of=domain&{key}&{changed}"),
        &boss,
    );
    assert!(tried.contains("2 options"), "{tried}");
    let now = apply(&setup, &boss, &tried);
    let wanted = "[domain.\"new.test\"] # ours\nroute = \"[192.0.2.2]\"\ntls = \"require\"\n";
    assert!(now.contains(wanted), "{now}");
    // One is added, and goes again.
    let add = "/configuration/try?of=domain&name=more.test&o.type=blocked&o.route=";
    let now = apply(&setup, &boss, &setup.page(add, &boss));
    assert!(
        now.contains("[domain.\"more.test\"]\ntype = \"blocked\"\n"),
        "{now}"
    );
    let again = setup.page(add, &boss);
    assert!(again.contains("there is a section"), "{again}");
    let remove = "/configuration/try?edit=domain.%22more.test%22&verb=remove";
    let now = apply(&setup, &boss, &setup.page(remove, &boss));
    assert!(!now.contains("more.test"), "{now}");
    // Who opened the form before that changes back nothing of it.
    let seen = form
        .split_once("name=\"seen\" value=\"")
        .expect("a digest")
        .1;
    let seen = seen.split('"').next().unwrap_or_default();
    let again = "o.route=%5B192.0.2.3%5D";
    let try_it = |seen: &str| {
        setup.page(
            &format!("/configuration/try?of=domain&{key}&seen={seen}&{again}"),
            &boss,
        )
    };
    let late = try_it(seen);
    assert!(
        status(&late) == 409 && late.contains("open it again"),
        "{late}"
    );
    let form = setup.page(&format!("/configuration/section?{key}"), &boss);
    let seen = form
        .split_once("name=\"seen\" value=\"")
        .expect("a digest")
        .1;
    let seen = seen.split('"').next().unwrap_or_default();
    assert_eq!(status(&try_it(seen)), 200);
    // Rules, in their order, and how that changes.
    let rules = setup.page("/configuration/rules", &boss);
    assert!(
        rules.contains("&#60;ann&#62;") && rules.contains("without a name"),
        "{rules}"
    );
    let down = "/configuration/try?edit=screen%5B0%5D&verb=move&value=1";
    assert!(rules.contains(&down.replace('&', "&#38;")), "{rules}");
    let now = apply(&setup, &boss, &setup.page(down, &boss));
    let end = "then = \"refuse\"\n\n# About ann.\n[[screen]]\nname = \"<ann>\"";
    assert!(now.contains(end), "{now}");
    // Whoever may not change it sees it, and no more.
    let operator = setup.sign_in("operator");
    let listed = setup.page("/configuration/sections?of=listener", &operator);
    assert!(listed.contains("[listener.internet]"), "{listed}");
    assert!(!listed.contains("/configuration/section?"), "{listed}");
    assert!(
        !setup
            .page("/configuration/rules", &operator)
            .contains("verb=move")
    );
    let form = setup.page("/configuration/section?of=listener", &operator);
    assert_eq!(status(&form), 403);
    for path in [
        "sections?of=relay",
        "sections?of=ldap",
        "section?key=ldap",
        "section?key=domain.none",
        "section?of=",
    ] {
        let none = setup.page(&format!("/configuration/{path}"), &boss);
        assert_eq!(status(&none), 404, "{path}");
    }
}

#[test]
fn routes_and_what_there_is_once_have_forms() {
    let setup = Setup::start("");
    let secret = setup.relay.folder().join("isp.secret");
    fs::write(&secret, "sesame\n").expect("a secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("its rights");
    let boss = setup.sign_in("boss");
    let add = "/configuration/try?of=route&name=isp&o.hosts=mail.isp.test&o.auth.user=us&o.auth.secret=file%3Aisp.secret";
    let now = apply(&setup, &boss, &setup.page(add, &boss));
    for line in ["[route.isp]", "hosts = \"mail.isp.test\"", "user = \"us\""] {
        assert!(now.contains(line), "{now}");
    }
    let listed = setup.page("/configuration/sections?of=route", &boss);
    assert!(listed.contains("[route.isp]"), "{listed}");
    let form = setup.page("/configuration/section?key=route.isp", &boss);
    assert!(form.contains("value=\"&#34;us&#34;\""), "{form}");
    assert!(!form.contains("sesame"), "{form}");
    // Of the other sections there is one, written or not; options of lists with names are not theirs.
    for (section, option, value, line) in [
        ("relay", "signed_in", "false", "signed_in = false"),
        ("auth", "sender_match", "own", "sender_match = \"own\""),
        ("tls", "min_version", "1.3", "min_version = \"1.3\""),
        (
            "limits",
            "rate_per_user.messages",
            "7/1m",
            "messages = \"7/1m\"",
        ),
        ("queue", "expire", "3d", "expire = \"3d\""),
    ] {
        let form = setup.page(&format!("/configuration/section?key={section}"), &boss);
        assert!(form.contains(&format!("name=\"o.{option}\"")), "{form}");
        assert!(!form.contains("name=\"o.NAME"), "{form}");
        let change = format!("/configuration/try?of={section}&key={section}&o.{option}={value}");
        let now = apply(&setup, &boss, &setup.page(&change, &boss));
        assert!(now.contains(line), "{section}: {now}");
    }
    let settings = setup.page("/configuration/settings", &setup.sign_in("operator"));
    assert!(
        settings.contains("min_version = &#34;1.3&#34;"),
        "{settings}"
    );
    assert!(!settings.contains("/configuration/section?"), "{settings}");
}

/// The value of a hidden field of a page.
fn hidden<'a>(page: &'a str, name: &str) -> &'a str {
    let begin = format!("name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&*begin)
        .unwrap_or_else(|| panic!("no {name}: {page}"));
    rest.split('"').next().unwrap_or_default()
}

/// Sends a form of the configuration, as a page of the session has it, with these fields.
fn try_form(setup: &Setup, cookie: &str, page: &str, fields: &[(&str, &str)]) -> String {
    assert!(page.contains("<form class=\"fields\" method=\"post\"") || page.contains("<textarea"));
    let (token, seen) = (token_of(page), hidden(page, "seen"));
    let all = [&[("form", &*token), ("seen", seen)], fields].concat();
    setup.post("/configuration/try", cookie, &all).out
}

const WITH_LINES: &str = "[listener.more]\nbind = \"127.0.0.1:0\"\nbanner = \"\"\"Well \\\n    met\"\"\"\n\
    [domain.\"lists.test\"]\nroute = \"[192.0.2.1]\"\nrecipients = [\n  \"ann\", # the first\n  \
    # Since the merger:\n  'bob',\n]\n";

#[test]
fn a_form_keeps_comments_in_lists_and_values_of_many_lines() {
    let setup = Setup::start(WITH_LINES);
    let boss = setup.sign_in("boss");
    // A field of one line would lose the end of the first.
    let form = setup.page("/configuration/section?key=listener.more", &boss);
    let (_, area) = form.split_once("<textarea id=\"o-banner\"").expect("lines");
    assert!(
        area.contains("&#34;&#34;&#34;Well \\\n    met&#34;"),
        "{form}"
    );
    let fields = [
        ("of", "listener"),
        ("key", "listener.more"),
        ("o.banner", "\"\"\"Well \\\r\n    met\"\"\""),
        ("o.hostname", "more.test"),
    ];
    let now = apply(&setup, &boss, &try_form(&setup, &boss, &form, &fields));
    let wanted = "banner = \"\"\"Well \\\n    met\"\"\"\nhostname = \"more.test\"\n";
    assert!(now.contains(wanted), "{now}");
    let page = setup.page("/configuration/section?key=domain.%22lists.test%22", &boss);
    let fields = [
        ("of", "domain"),
        ("key", "domain.\"lists.test\""),
        ("o.recipients", "[\"ann\", 'bob', \"eve\"]"),
    ];
    let now = apply(&setup, &boss, &try_form(&setup, &boss, &page, &fields));
    let wanted =
        "recipients = [\n  \"ann\", # the first\n  # Since the merger:\n  'bob',\n  \"eve\",\n]\n";
    assert!(now.contains(wanted), "{now}");
    // The text as a whole, whose lines forms send with CRLF.
    let crlf = now.replace('\n', "\r\n");
    fs::write(setup.relay.config(), &crlf).expect("the configuration");
    setup.relay.command(&["reload"]).expect_code(0);
    let page = setup.page("/configuration/file", &boss);
    let text = crlf.replace("# the first", "# the very first");
    let now = apply(
        &setup,
        &boss,
        &try_form(&setup, &boss, &page, &[("text", &text)]),
    );
    assert_eq!(now, text);
}

#[test]
fn a_form_changes_nothing_back_that_was_changed_by_hand() {
    let setup = Setup::start(WITH_LINES);
    let boss = setup.sign_in("boss");
    let pages = [
        "section?key=domain.%22lists.test%22",
        "change?key=domain.%22lists.test%22.recipients",
        "file",
    ];
    let pages = pages.map(|page| setup.page(&format!("/configuration/{page}"), &boss));
    let before = fs::read_to_string(setup.relay.config()).expect("the configuration");
    let text = before.replace("# the first", "# the very first");
    let section = [
        ("of", "domain"),
        ("key", "domain.\"lists.test\""),
        ("o.recipients", "[\"ann\", 'bob', \"eve\"]"),
    ];
    let change = [
        ("edit", "domain.\"lists.test\".recipients"),
        ("verb", "set"),
        ("value", "[\"ann\", 'bob', \"eve\"]"),
    ];
    let forms: [&[_]; 3] = [&section, &change, &[("text", &text)]];
    let all = |status_wanted: u16| {
        for (page, fields) in pages.iter().zip(forms) {
            let tried = try_form(&setup, &boss, page, fields);
            assert_eq!(status(&tried), status_wanted, "{tried}");
        }
    };
    all(200);
    let by_hand = before.replace("'bob',", "'bob', 'carl',");
    fs::write(setup.relay.config(), &by_hand).expect("the configuration");
    all(409);
    let warned = setup.page("/configuration/file", &boss);
    assert!(warned.contains("no longer as it was read"), "{warned}");
    setup.relay.command(&["reload"]).expect_code(0);
    all(409);
    let now = fs::read_to_string(setup.relay.config()).expect("the configuration");
    assert_eq!(now, by_hand);
}

#[test]
fn a_protocol_log_is_shown_as_it_was_written() {
    let setup = Setup::start(
        "[log.w3c]\nformat = \"w3c\"\nfields = \"all\"\n[log.mail]\nformat = \"maillog\"\n",
    );
    let mut client = Dialogue::ready(setup.relay.network.stranger(), setup.relay.address());
    client.ask("MAIL FROM:<a<b>@client.test>", 501);
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<victim@elsewhere.test>", 550);
    client.ask("QUIT", 221);
    let viewer = setup.sign_in("viewer");
    let shown = || setup.page("/logs?log=w3c", &viewer);
    until_true("its rows", seconds(20), || shown().contains("QUIT"));
    let page = shown();
    for words in [
        "#Fields: ",
        "RCPT",
        "victim@elsewhere.test",
        "a&#60;b&#62;@client.test",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    let found = setup.page("/logs?log=w3c&word=VICTIM", &viewer);
    assert!(
        found.contains("victim@") && !found.contains("QUIT"),
        "{found}"
    );
    // Each log is written by itself.
    let mail = || setup.page("/logs?log=mail", &viewer);
    until_true("the refusal in the other log", seconds(20), || {
        mail().contains("NOQUEUE: reject: RCPT")
    });
    let none = setup.page("/logs?log=mail&word=nowhere", &viewer);
    assert!(none.contains("No line matches"), "{none}");
    for name in ["other", "..%2F..%2Fgatepost.toml", "w3c%2F..%2Fmail"] {
        let refused = setup.page(&format!("/logs?log={name}"), &viewer);
        assert_eq!(status(&refused), 404, "{name}");
    }
}

/// Where the relay may not write its file, whoever changes it gets the difference to copy.
#[test]
fn a_file_that_cannot_be_written_is_changed_by_hand() {
    need_root("the relay has to be of another account than its file");
    let network = Network::new();
    let address = network.free_port(network.relay());
    let relay = Relay::prepare(network, &format!("[console]\nbind = \"{address}\"\n"));
    let root = "user = \"root\"\ngroup = \"root\"\n";
    let nobody = "user = \"nobody\"\ngroup = \"nogroup\"\n";
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let text = text.replace(root, nobody);
    relay.write_whole_config(&text);
    // That account has to reach its data through the folders above it.
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(relay.folder(), open).expect("a folder others may enter");
    fs::create_dir(relay.data_dir()).expect("a data folder");
    let data = relay.data_dir().display().to_string();
    run("chown", &["nobody:nogroup", &data]).expect_code(0);
    let setup = Setup::with(relay, address);
    let cookie = setup.sign_in("boss");
    let options = setup.page("/configuration", &cookie);
    assert!(
        options.contains("It cannot be changed from here: the relay may not write in"),
        "{options}"
    );
    let tried = setup.page(
        "/configuration/try?edit=relay.allow&append=192.0.2.77",
        &cookie,
    );
    let hash = (tried.split_once("name=\"hash\" value=\""))
        .expect("a digest")
        .1;
    let hash = hash.split('"').next().unwrap_or_default();
    let token = token_of(&tried);
    let form = [
        ("form", &*token),
        ("hash", hash),
        ("edit", "relay.allow"),
        ("verb", "append"),
        ("value", "\"192.0.2.77\""),
    ];
    let applied = setup.post("/configuration/apply", &cookie, &form).out;
    assert_eq!(status(&applied), 200, "{applied}");
    for words in [
        "Nothing was changed",
        "the relay may not write in",
        "&#34;192.0.2.77&#34;]",
    ] {
        assert!(applied.contains(words), "no {words} in {applied}");
    }
    let after = fs::read_to_string(setup.relay.config()).expect("the configuration");
    assert_eq!(after, text);
    // Whom it would permit stays out.
    let check = [
        "relay",
        "check",
        "--client",
        "192.0.2.77",
        "--rcpt",
        "x@elsewhere.test",
    ];
    assert_ne!(setup.relay.command(&check).code, 0);
}

#[test]
fn browsers_get_the_console_by_tls_with_the_relays_certificate() {
    let network = Network::new();
    let authority = Authority::new();
    let pair = authority.issue_for("relay.test", network.relay());
    let address = network.free_port(network.relay());
    let settings = format!("[console]\nbind = \"{address}\"\n{}", pair.settings(),);
    let relay = Relay::start(network, &settings);
    let resolve = format!("relay.test:{}:{}", address.port(), address.ip());
    let root = authority.certificate();
    let root = root.to_str().expect("a path");
    let url = format!("https://relay.test:{}/login", address.port());
    let arguments = [
        "--silent",
        "--include",
        "--cacert",
        root,
        "--resolve",
        &*resolve,
        &*url,
    ];
    let answer = run("curl", &arguments).expect_code(0).out;
    assert_eq!(status(&answer), 200, "{answer}");
    let in_clear = format!("http://{address}/login");
    assert_ne!(run("curl", &["--silent", &in_clear]).code, 0);
    let link = relay.command(&["console", "login"]).expect_code(0).out;
    let token = link
        .lines()
        .next()
        .and_then(|line| line.split_once("token="));
    let data = format!("token={}", token.expect("a link").1.trim());
    let origin = format!("Origin: https://relay.test:{}", address.port());
    let post = ["--header", &*origin, "--data", &*data];
    let answer = run("curl", &[&arguments[..6], &post, &[&*url]].concat())
        .expect_code(0)
        .out;
    let set = field(&answer, "set-cookie").unwrap_or_else(|| panic!("no cookie: {answer}"));
    assert!(
        set.starts_with("__Host-gatepost=") && set.contains("; Secure"),
        "{set}"
    );
}

#[test]
fn live_pages_hold_up_no_stop() {
    let mut setup = Setup::start("");
    let cookie = format!("Cookie: {}", setup.sign_in("viewer"));
    let url = setup.url("/queues");
    let mut live = limited(&path_of("curl"));
    live.args([
        "--silent",
        "--no-buffer",
        "--header",
        "Accept: text/event-stream",
    ]);
    live.args(["--header", &*cookie, &*url])
        .stdout(Stdio::piped());
    let mut live = live.spawn().expect("curl runs");
    let mut heard = live.stdout.take().expect("what curl writes");
    let mut first = [0; 6];
    heard.read_exact(&mut first).expect("an event");
    assert_eq!(&first, b"event:");
    assert!(setup.relay.stop().success());
    // The stream has ended with the relay.
    let mut rest = Vec::new();
    heard.read_to_end(&mut rest).expect("the end");
    live.wait().expect("curl ends");
}

#[test]
fn a_relay_whose_console_has_no_place_carries_mail_and_says_so() {
    // Somebody has the usual place: we, or another console that is there already.
    let _taken = TcpListener::bind("127.0.0.1:8025");
    let relay = Relay::start(Network::new(), "[console]\nidle_timeout = \"1h\"\n");
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    client.ask("NOOP", 250);
    let status = relay.status().expect("a status");
    let lines = status["attention"].as_array().expect("lines");
    let says = |line: &Value| {
        line.as_str()
            .is_some_and(|line| line.contains("there is no console"))
    };
    assert!(lines.iter().any(says), "{status}");
}

/// What `gatepost doctor` finds, with each cure, once somebody who may has it looked at.
#[test]
fn diagnose_says_what_is_wrong_around_the_relay_and_what_to_do() {
    const PAGE: &str = "/diagnose/doctor";
    let setup = Setup::start("");
    let (viewer, operator) = (setup.sign_in("viewer"), setup.sign_in("operator"));
    let token = token_of(&setup.page(PAGE, &operator));
    let form = [
        ("form", &*token),
        ("probe", "off"),
        ("time", "off"),
        ("lists", "off"),
    ];
    let shown = setup.page(PAGE, &viewer);
    assert!(!shown.contains("Examine</button>"), "{shown}");
    let own = [
        &[("form", &*token_of(&setup.page("/", &viewer)))],
        &form[1..],
    ];
    let refused = setup.post(PAGE, &viewer, &own.concat());
    assert_eq!(status(&refused.out), 403, "{}", refused.out);

    let begun = setup.post(PAGE, &operator, &form);
    assert_eq!(status(&begun.out), 303, "{}", begun.out);
    until_true("the examination to end", seconds(60), || {
        setup.page(PAGE, &operator).contains("Begun by operator")
            && setup.page(PAGE, &operator).contains("Examine</button>")
    });
    let found = plain(&setup.page(PAGE, &viewer));
    for words in [
        "open files",
        ">sync<",
        "self-signed: most servers take it",
        "name it by tls.certificate and tls.key",
    ] {
        assert!(found.contains(words), "no {words}: {found}");
    }
    assert!(!found.contains("block lists</td>"), "{found}");
    // What cannot be asked is said on the page.
    let wrong = [("form", &*token), ("probe", "..")];
    assert_eq!(status(&setup.post(PAGE, &operator, &wrong).out), 303);
    until_true("the answer", seconds(60), || {
        setup.page(PAGE, &operator).contains("is no domain")
    });
}

/// The pages say how the same is had on the command line: each of these lines is one that is taken.
#[test]
fn the_commands_that_pages_show_are_commands() {
    let setup = Setup::start("");
    let mut client = Dialogue::ready(setup.relay.network.stranger(), setup.relay.address());
    client.submit("ann@client.test", &["bob@hosted.test"], &message("waits"));
    let id = setup.relay.queue()[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let cookie = setup.sign_in("boss");
    let mut pages: Vec<String> = [
        "/tracking",
        "/tracking?filter=to%3A*%40hosted.test%20age%3A%3C1h&events=true",
        "/queues?filter=to%3Abob%40hosted.test",
        "/queues?view=sites",
        "/sessions",
        "/quarantine?filter=from%3A%3C%3E",
        "/diagnose?client=203.0.113.9&from=ann%40x.test&rcpt=bob%40hosted.test&helo=c.test&tls=true",
        "/diagnose/proof",
        "/diagnose/dns?domain=hosted.test",
        "/diagnose/doctor",
        "/configuration",
        "/logs",
        "/act?do=pause",
        "/act?do=resume&site=mx%3Afar.test",
        "/act?do=reload",
        "/act?do=strip&id=01h",
        "/act?do=learn-ham&id=01h",
    ]
    .map(str::to_owned)
    .to_vec();
    for verb in ["retry", "hold", "bounce", "delete", "reroute"] {
        pages.push(format!("/act?do={verb}&filter="));
        pages.push(format!("/act?do={verb}&filter=to%3Abob%40hosted.test"));
    }
    pages.push(format!("/message/{id}"));
    for path in pages {
        let page = setup.page(&path, &cookie);
        let commands = page.split("<code>gatepost ").skip(1);
        let commands: Vec<String> = commands
            .filter_map(|rest| Some(plain(rest.split_once("</code>")?.0)))
            .collect();
        assert!(!commands.is_empty(), "{path}: {page}");
        for command in commands {
            // Help says what a command takes, after it has looked at what it got.
            let line = format!("exec \"$0\" {command} --help");
            let ran = run("sh", &["-c", &line, binary()]);
            assert_eq!(ran.code, 0, "{path}: gatepost {command}\n{}", ran.text());
        }
    }
}

/// What a browser shows of it.
fn plain(html: &str) -> String {
    let signs = [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#38;", "&"),
    ];
    let shown = |text: String, (sign, shown): (&str, &str)| text.replace(sign, shown);
    signs.into_iter().fold(html.to_owned(), shown)
}
