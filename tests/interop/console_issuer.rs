//! Signing in at the console by an issuer that vouches for people: a real one (oidc-provider), over
//! HTTPS on loopback. `browser/issuer.mjs` says who is told how.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::authority::Authority;
use crate::network::Network;
use crate::program::{path_of, run};
use crate::relay::Relay;
use crate::wait::{seconds, until_true};

const SECRET: &str = "hush & hush";
/// Which groups of the issuer have which role.
const ROLES: &str = "admin = \"relay-admins\"\nviewer = [\"staff\"]\n";

struct Issuer {
    child: Child,
    url: String,
    /// It ends where nobody reads what it says.
    _said: BufReader<ChildStdout>,
}

impl Issuer {
    fn start(network: &Network, authority: &Authority, console: SocketAddr) -> Issuer {
        let address = network.mail_server();
        let pair = authority.issue_for("issuer.test", address.ip());
        let settings = json!({
            "modules": target().join("peers/oidc/node_modules"),
            "certificate": pair.certificate,
            "key": pair.key,
            "address": address,
            "client": "gatepost",
            "secret": SECRET,
            "back": format!("http://{console}/login/issuer/back"),
        });
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/browser/issuer.mjs");
        let mut child = Command::new(path_of("node"))
            .arg(program)
            .arg(settings.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output"));
        let mut url = String::new();
        while !url.starts_with("https://") {
            url.clear();
            let read = said.read_line(&mut url).expect("a line");
            assert!(read > 0, "the issuer has ended");
        }
        let url = url.trim().to_owned();
        Issuer {
            child,
            url,
            _said: said,
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

struct Scene {
    relay: Relay,
    console: SocketAddr,
    metrics: SocketAddr,
    authority: Authority,
    issuer: Issuer,
    folder: TempDir,
}

impl Scene {
    fn start(roles: &str, users: &[&str]) -> Scene {
        let network = Network::new();
        let console = network.free_port(network.relay());
        let metrics = network.free_port(network.relay());
        let authority = Authority::new();
        let issuer = Issuer::start(&network, &authority, console);
        let folder = TempDir::new().expect("a temporary folder");
        let mut scene = Scene {
            relay: Relay::prepare(network, ""),
            console,
            metrics,
            authority,
            issuer,
            folder,
        };
        let secret = scene.folder.path().join("secret");
        fs::write(&secret, SECRET).expect("a secret");
        run("chmod", &["600", &text(&secret)]).expect_code(0);
        run(
            "chown",
            &["-R", crate::relay::account(), &text(scene.folder.path())],
        );
        scene.configure(roles);
        for name in users {
            let add = [
                "user",
                "add",
                name,
                "--no-relay",
                "--console-role",
                "viewer",
            ];
            let ran = scene.relay.command_with(&add, b"correct horse battery");
            ran.expect_code(0);
        }
        scene.relay.run();
        scene
    }

    fn configure(&self, roles: &str) {
        self.relay.write_config(&format!(
            "[metrics]\nbind = \"{}\"\n[console]\nbind = \"{}\"\n\
             [console.oidc]\nissuer = \"{}\"\nclient_id = \"gatepost\"\n\
             client_secret = \"file:{}\"\nca = \"{}\"\n{roles}",
            self.metrics,
            self.console,
            self.issuer.url,
            text(&self.folder.path().join("secret")),
            text(&self.authority.certificate()),
        ));
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.console)
    }

    /// Somebody with a browser of his own.
    fn browser(&self) -> Browser {
        Browser {
            jar: tempfile::NamedTempFile::new()
                .expect("a jar")
                .into_temp_path()
                .to_path_buf(),
            authority: self.authority.certificate(),
        }
    }

    /// Signs in at the issuer under this name, and goes on wherever that leads.
    fn sign_in(&self, browser: &Browser, login: &str) -> Page {
        let asked = browser.get(&self.url("/login/issuer?next=%2Fqueues%3Ffilter%3Dto%253Aann"));
        assert!(asked.address.contains("/interaction/"), "{asked:?}");
        browser.open(&["--data", &format!("login={login}"), &asked.address])
    }

    fn metric(&self, line: &str) -> bool {
        let page = run(
            "curl",
            &["--silent", &format!("http://{}/metrics", self.metrics)],
        );
        page.out.lines().any(|own| own == line)
    }
}

struct Browser {
    jar: PathBuf,
    authority: PathBuf,
}

#[derive(Debug)]
struct Page {
    status: u16,
    address: String,
    text: String,
}

impl Browser {
    fn open(&self, more: &[&str]) -> Page {
        let (jar, authority) = (text(&self.jar), text(&self.authority));
        let mut arguments = vec![
            "--silent",
            "--location",
            "--cookie",
            &jar,
            "--cookie-jar",
            &jar,
        ];
        arguments.extend(["--cacert", &authority]);
        arguments.extend(["--write-out", "\n%{http_code} %{url_effective}"]);
        arguments.extend(more);
        let ran = run("curl", &arguments).expect_code(0);
        let (text, last) = ran.out.rsplit_once('\n').expect("two lines");
        let (status, address) = last.split_once(' ').expect("two words");
        Page {
            status: status.parse().expect("a status"),
            address: address.to_owned(),
            text: text.to_owned(),
        }
    }

    fn get(&self, url: &str) -> Page {
        self.open(&[url])
    }

    fn copy(&self) -> Browser {
        let jar = self.jar.with_extension("copy");
        fs::copy(&self.jar, &jar).expect("a copy");
        Browser {
            jar,
            authority: self.authority.clone(),
        }
    }
}

impl Page {
    fn says(&self, words: &str) -> &Page {
        assert!(self.text.contains(words), "no {words:?} in {self:?}");
        self
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

#[test]
#[ignore = "needs oidc-provider: scripts/test browser"]
fn whom_the_issuer_vouches_for_has_the_role_of_his_group() {
    let scene = Scene::start(ROLES, &[]);
    let ann = scene.browser();
    ann.get(&scene.url("/login")).says("Sign in by 127.");
    let landed = scene.sign_in(&ann, "ann");
    assert_eq!(landed.status, 200, "{landed:?}");
    landed
        .says("ann@corp.test")
        .says("url=/queues?filter=to%3Aann");
    ann.get(&scene.url("/configuration/file"))
        .says("What would it do?");
    let vic = scene.browser();
    scene.sign_in(&vic, "vic");
    let refused = vic.get(&scene.url("/act?do=reload"));
    assert_eq!(refused.status, 403);
    refused.says("vic@corp.test with the role viewer");
    // Who came in, and how, is written down and counted.
    let audit = fs::read_to_string(scene.relay.data_dir().join("audit.jsonl")).expect("audit");
    let rows: Vec<Value> = (audit.lines())
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|row: &Value| row["verb"] == "console/issuer")
        .collect();
    assert_eq!(rows.len(), 2, "{audit}");
    assert_eq!(
        (&rows[0]["who"], &rows[0]["way"]),
        (&json!("ann@corp.test"), &json!("console"))
    );
    assert!(
        rows[1]["what"]
            .as_str()
            .is_some_and(|what| what.starts_with("as viewer, from 127."))
    );
    assert!(scene.metric("gatepost_console_sign_ins_total{result=\"issuer\"} 2"));
    // The groups that give a role are others now: who came in by them has to come again.
    scene.configure("admin = \"others\"\n");
    scene.relay.command(&["reload"]).expect_code(0);
    let out = ann.get(&scene.url("/"));
    assert!(out.address.contains("/login"), "{out:?}");
    let knows_her = ann.get(&scene.url("/login/issuer"));
    knows_her.says("ann@corp.test has no role at the console");
}

#[test]
#[ignore = "needs oidc-provider: scripts/test browser"]
fn nobody_comes_in_by_a_token_that_is_not_for_this_sign_in() {
    let scene = Scene::start(ROLES, &[]);
    for (login, why) in [
        ("expired", "too old or not good yet"),
        ("audience", "meant for somebody else"),
        ("nonce", "of another sign-in"),
        ("forged", "wrong signature"),
        ("unverified", "did not verify"),
        (
            "groupless",
            "groupless@corp.test has no role at the console",
        ),
        ("denied", "access_denied: &#60;b&#62;not&#60;/b&#62; you"),
    ] {
        let browser = scene.browser();
        let page = scene.sign_in(&browser, login);
        assert_eq!(page.status, 401, "{login}: {page:?}");
        page.says(why).says("Password");
        let still_out = browser.get(&scene.url("/"));
        assert!(still_out.address.contains("/login"), "{login}");
    }
    let log = scene
        .relay
        .wait_for_log(&["sign-in failed", "wrong signature"]);
    assert!(!log.contains(SECRET) && !log.contains("eyJ"), "{log}");
    assert!(scene.metric("gatepost_console_sign_ins_total{result=\"refused\"} 7"));
    // As a user, whom `log.privacy` would make unrecognisable.
    let user = "\"user\":\"groupless@corp.test\"";
    let words = [user, "\"reply\":\"no role at the console\""];
    scene.relay.wait_for_log(&words);
}

/// The way back is of use once, in the browser that left.
#[test]
#[ignore = "needs oidc-provider: scripts/test browser"]
fn a_way_back_is_neither_taken_twice_nor_given_away() {
    let scene = Scene::start(ROLES, &[]);
    let ann = scene.browser();
    let asked = ann.get(&scene.url("/login/issuer"));
    // Of her browser before it came back.
    let thief = ann.copy();
    let landed = ann.open(&["--data", "login=ann", &asked.address]);
    landed.says("You are signed in");
    for (browser, why) in [
        (&ann, "was not begun in this browser"),
        (&scene.browser(), "was not begun in this browser"),
        (&thief, "invalid_grant"),
    ] {
        let page = browser.get(&landed.address);
        assert_eq!(page.status, 401, "{page:?}");
        page.says(why);
    }
    // Hers goes on: whoever calls her browser there does not put her out.
    ann.get(&scene.url("/")).says("ann@corp.test");
    // Another sign-in's state with her code, and what another issuer would send.
    let other = scene.browser();
    other.get(&scene.url("/login/issuer"));
    other
        .get(&landed.address)
        .says("was not begun in this browser");
    let page = other.get(&scene.url("/login/issuer/back?state=x&code=y"));
    assert_eq!(page.status, 401);
    // Strangers who never left cannot fill with that what is tracked: the thief alone is in it.
    let tracked = scene.relay.command(&["--json", "track", "state:refused"]);
    let tracked: Value = serde_json::from_str(&tracked.expect_code(0).out).expect("JSON");
    assert_eq!(tracked.as_array().map(Vec::len), Some(1), "{tracked}");
    assert!(scene.metric("gatepost_console_sign_ins_total{result=\"refused\"} 1"));
}

/// The issuer says who somebody is, the users file what he may do.
#[test]
#[ignore = "needs oidc-provider: scripts/test browser"]
fn who_is_removed_from_the_users_file_is_out() {
    let scene = Scene::start("", &["vic@corp.test"]);
    let (vic, ann) = (scene.browser(), scene.browser());
    scene.sign_in(&vic, "vic").says("You are signed in");
    scene
        .sign_in(&ann, "ann")
        .says("gatepost user role ann@corp.test viewer");
    vic.get(&scene.url("/")).says("vic@corp.test");
    let remove = ["user", "remove", "vic@corp.test"];
    scene.relay.command(&remove).expect_code(0);
    until_true("he is out", seconds(20), || {
        vic.get(&scene.url("/")).address.contains("/login")
    });
}

#[test]
#[ignore = "needs oidc-provider: scripts/test browser"]
fn an_issuer_that_is_away_leaves_the_password() {
    let mut scene = Scene::start(ROLES, &[]);
    scene.issuer.child.kill().expect("it ends");
    scene.issuer.child.wait().expect("it has ended");
    let page = scene.browser().get(&scene.url("/login/issuer"));
    assert_eq!(page.status, 503, "{page:?}");
    page.says("the issuer cannot be asked now").says("Password");
}

/// Cookies and redirects as a browser has them: SameSite, and a policy for forms.
#[test]
#[ignore = "needs Chromium and oidc-provider: scripts/test browser"]
fn chromium_comes_in_by_the_issuer() {
    let scene = Scene::start(ROLES, &[]);
    let more = json!({ "login": "ann", "issuer": scene.issuer.url });
    crate::browser::visit(&scene.url(""), "", "issuer", &more).end();
}
