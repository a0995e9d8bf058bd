//! Signing in with a token, as Microsoft 365 and Google want it: the relay gets one from a token
//! endpoint (OAuth 2.0, client credentials) and shows it to the mail server by XOAUTH2. Endpoint
//! and mail server are the tests' own, and the server takes only tokens that the endpoint gave out.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{message, submit};
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, PeerCertificate, text};
use crate::program::run;
use crate::relay::Relay;
use crate::script::Script;
use crate::wait::{seconds, until};

const CLIENT: &str = "00000000-0000-0000-0000-00000000abcd";
const SCOPE: &str = "https://outlook.office365.com/.default";

/// RFC 4648 section 5.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const PATH: &str = "/tenant/oauth2/v2.0/token";

/// The two servers that share a file of good tokens.
struct Setup {
    network: Network,
    authority: PeerAuthority,
    certificate: PeerCertificate,
    folder: TempDir,
    endpoint: SocketAddr,
    mail: Script,
}

impl Setup {
    fn new() -> Setup {
        let network = Network::new();
        let authority = PeerAuthority::new();
        let mail_certificate = authority.certificate(&["server.test"]);
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("tokens"), "").expect("the tokens");
        fs::write(folder.path().join("secret"), "open sesame\n").expect("the secret");
        run("chmod", &["600", &text(&folder.path().join("secret"))]).expect_code(0);
        let endpoint = network.free_port(network.host(20));
        let certificate = authority.certificate(&[&endpoint.ip().to_string()]);
        let settings = json!({
            "starttls": "offer", "auth": ["XOAUTH2"], "tokens": folder.path().join("tokens"),
            "replies": {},
        });
        let mail = Script::smtp_with(network.mail_server(), &mail_certificate, settings);
        Setup {
            network,
            authority,
            certificate,
            folder,
            endpoint,
            mail,
        }
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// Starts the token endpoint; `secret` is what it takes, or it takes assertions.
    fn open(&self, secret: Option<&str>, expires_in: u32) -> Script {
        let mut settings = json!({
            "token_path": PATH, "tokens": self.tokens(), "expires_in": expires_in,
        });
        if let Some(secret) = secret {
            settings["secret"] = json!(secret);
        }
        Script::web(self.endpoint, &self.certificate, settings)
    }

    /// The token endpoint's URL.
    fn url(&self) -> String {
        format!("https://{}{PATH}", self.endpoint)
    }

    /// A relay that hands `hosted.test` to the mail server; `proof` says who it is to the endpoint.
    fn relay(&self, proof: &str) -> Relay {
        let config = format!(
            "[domain.\"hosted.test\"]\nroute = \"office\"\n[route.office]\nhosts = \"{}\"\nmessages_per_connection = 1\n\
             tls = \"require\"\n[route.office.auth]\nuser = \"relay@office.test\"\ntoken_url = \"{}\"\n\
             client_id = \"{CLIENT}\"\nscope = \"{SCOPE}\"\nca = \"{}\"\n{proof}\n\
             [queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n",
            self.mail.route(),
            self.url(),
            text(&self.authority.file()),
        );
        Relay::start(self.network, &config)
    }

    fn secret(&self) -> String {
        let file = self.folder.path().join("secret");
        format!("client_secret = \"file:{}\"", text(&file))
    }
}

fn send(relay: &Relay, id: &str) {
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message(id),
    );
}

#[test]
fn a_client_secret_buys_a_token_that_the_mail_server_takes() {
    let setup = Setup::new();
    let endpoint = setup.open(Some("open sesame"), 3600);
    let relay = setup.relay(&setup.secret());
    for id in ["first", "second"] {
        send(&relay, id);
        let entry = setup.mail.wait_for(&format!("Subject: {id}"));
        assert!(entry["tls"].is_string(), "under TLS: {entry}");
    }
    let asked = endpoint.entries("form");
    assert_eq!(asked.len(), 1, "one token does for both: {asked:?}");
    let form = &asked[0]["form"];
    assert_eq!(
        form,
        &json!({
            "grant_type": "client_credentials", "client_id": CLIENT, "scope": SCOPE,
            "client_secret": "open sesame",
        })
    );
    let shown = setup.mail.entries("token");
    assert_eq!(shown.len(), 2, "messages_per_connection is 1");
    for entry in shown {
        assert_eq!(entry["user"], "relay@office.test");
        assert_eq!(entry["token"], "token-1");
    }
    for secret in ["open sesame", "token-1"] {
        assert!(!relay.log().contains(secret), "the log holds {secret:?}");
    }
}

#[test]
fn a_token_is_replaced_before_it_expires() {
    let setup = Setup::new();
    let endpoint = setup.open(Some("open sesame"), 2);
    let relay = setup.relay(&setup.secret());
    let mut number = 0;
    until("a third token", seconds(20), || {
        number += 1;
        send(&relay, &format!("number-{number}"));
        setup.mail.wait_for(&format!("Subject: number-{number}"));
        (endpoint.entries("form").len() >= 3).then_some(())
    });
    let shown = setup.mail.entries("token");
    let newest = shown.last().expect("a token was shown");
    assert_ne!(newest["token"], "token-1", "the new ones are used");
}

#[test]
fn mail_waits_while_the_endpoint_is_down_or_refuses() {
    let setup = Setup::new();
    let relay = setup.relay(&setup.secret());
    send(&relay, "waiting");
    let heard = relay.wait_for_deferral("bob@hosted.test");
    let endpoint = setup.endpoint.to_string();
    assert!(
        heard.starts_with("[") && heard.contains("Connection refused"),
        "{endpoint}: {heard}"
    );
    // A refusal is no reason to bounce either. A reload begins anew with the endpoint, which is
    // left in peace otherwise.
    let refusing = setup.open(Some("another secret"), 3600);
    relay.command(&["reload"]).expect_code(0);
    until("the endpoint's refusal in the queue", seconds(30), || {
        let reply = relay.wait_for_deferral("bob@hosted.test");
        reply.contains("invalid_client").then_some(())
    });
    assert!(
        !setup.mail.heard("EHLO"),
        "without a token nobody is bothered"
    );
    drop(refusing);
    let _endpoint = setup.open(Some("open sesame"), 3600);
    relay.command(&["reload"]).expect_code(0);
    setup.mail.wait_for("Subject: waiting");
    relay.wait_until_empty();
}

#[test]
fn a_token_that_the_mail_server_does_not_take_is_forgotten() {
    let setup = Setup::new();
    let endpoint = setup.open(Some("open sesame"), 3600);
    let relay = setup.relay(&setup.secret());
    send(&relay, "first");
    setup.mail.wait_for("Subject: first");
    // Revoked: the server takes it no more.
    fs::write(setup.tokens(), "").expect("the tokens");
    send(&relay, "second");
    setup.mail.wait_for("Subject: second");
    assert_eq!(endpoint.entries("form").len(), 2, "a new token was got");
}

#[test]
fn a_signed_assertion_proves_who_we_are() {
    for with_certificate in [true, false] {
        let setup = Setup::new();
        let endpoint = setup.open(None, 3600);
        let key = rsa_key(&setup);
        let mut proof = format!("assertion_key = \"{}\"", text(&key));
        if with_certificate {
            proof += &format!(
                "\nassertion_certificate = \"{}\"",
                text(&key.with_extension("crt"))
            );
        }
        let relay = setup.relay(&proof);
        send(&relay, "asserted");
        setup.mail.wait_for("Subject: asserted");
        let form = endpoint.entries("form").remove(0)["form"].clone();
        assert_eq!(
            form["client_assertion_type"],
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert!(form["client_secret"].is_null());
        let assertion = form["client_assertion"].as_str().expect("an assertion");
        let (header, claims) = verified(assertion, &setup, &key);
        assert_eq!(claims["iss"], CLIENT);
        assert_eq!(claims["sub"], CLIENT);
        assert_eq!(claims["aud"], setup.url());
        let (from, to) = (claims["iat"].as_u64(), claims["exp"].as_u64());
        let (from, to) = (from.expect("iat"), to.expect("exp"));
        assert!(to > from && to - from <= 600, "good for minutes: {claims}");
        assert_eq!(header["x5t"].is_string(), with_certificate, "{header}");
        if with_certificate {
            assert_eq!(
                header["x5t"],
                thumbprint(&key.with_extension("crt"), "-sha1")
            );
        }
    }
}

/// An RSA key and, beside it, its certificate, as an administrator makes them.
fn rsa_key(setup: &Setup) -> PathBuf {
    let key = setup.folder.path().join("assertion.key");
    let certificate = text(&key.with_extension("crt"));
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &text(&key),
            "-out",
            &certificate,
            "-subj",
            "/CN=relay",
            "-days",
            "30",
        ],
    )
    .expect_code(0);
    key
}

/// Header and claims of a JWT whose signature openssl found good.
fn verified(assertion: &str, setup: &Setup, key: &Path) -> (Value, Value) {
    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let (header, claims): (Value, Value) = (json_of(header), json_of(claims));
    let file = |name: &str| setup.folder.path().join(name);
    fs::write(file("signed"), signed).expect("what was signed");
    fs::write(file("signature"), octets(signature)).expect("the signature");
    let (public, private) = (text(&file("public")), text(key));
    run(
        "openssl",
        &["pkey", "-in", &private, "-pubout", "-out", &public],
    )
    .expect_code(0);
    let padding = match header["alg"].as_str() {
        Some("PS256") => "rsa_padding_mode:pss",
        Some("RS256") => "rsa_padding_mode:pkcs1",
        other => panic!("an algorithm for RSA keys: {other:?}"),
    };
    let (signature, signed) = (text(&file("signature")), text(&file("signed")));
    run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-sigopt",
            padding,
            "-verify",
            &public,
            "-signature",
            &signature,
            &signed,
        ],
    )
    .expect_code(0);
    (header, claims)
}

fn json_of(part: &str) -> Value {
    serde_json::from_slice(&octets(part)).expect("JSON in a JWT")
}

/// RFC 4648 section 5, without padding.
fn octets(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for octet in text.bytes() {
        let value = ALPHABET.iter().position(|&one| one == octet);
        let value = u32::try_from(value.expect("base64url")).expect("six bits");
        (bits, count) = ((bits << 6 | value) & 0xffff, count + 6);
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).expect("an octet"));
        }
    }
    out
}

/// The digest of a certificate as openssl computes it, in base64url.
fn thumbprint(certificate: &Path, algorithm: &str) -> String {
    let ran = run(
        "openssl",
        &[
            "x509",
            "-in",
            &text(certificate),
            "-noout",
            "-fingerprint",
            algorithm,
        ],
    )
    .expect_code(0);
    let (_, digits) = ran.out.trim().split_once('=').expect("a fingerprint");
    let digest: Vec<u8> = digits
        .split(':')
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal"))
        .collect();
    base64url(&digest)
}

fn base64url(octets: &[u8]) -> String {
    let mut text = String::new();
    for three in octets.chunks(3) {
        let filled = [
            three[0],
            *three.get(1).unwrap_or(&0),
            *three.get(2).unwrap_or(&0),
        ];
        let bits = u32::from_be_bytes([0, filled[0], filled[1], filled[2]]);
        for place in 0..=three.len() {
            let index = bits >> (18 - 6 * place) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
