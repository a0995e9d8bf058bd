//! An issuer of OAuth access tokens: a key of its own, the set of public keys that it publishes,
//! and signed tokens (RFC 7515, 7517, 7519), all by openssl.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::program::{finish, limited, path_of, run};
use crate::submission_setup::base64;

const ISSUER: &str = "https://login.test/";
const AUDIENCE: &str = "gatepost";
const KEY_ID: &str = "key-of-the-tests";
/// The exponent that openssl chooses, 65537.
const EXPONENT: &str = "AQAB";

pub struct Issuer {
    folder: TempDir,
}

impl Issuer {
    pub fn new() -> Issuer {
        let folder = TempDir::new().expect("a temporary folder");
        let issuer = Issuer { folder };
        let key = issuer.path("key.pem");
        run("openssl", &["genrsa", "-out", &text(&key), "2048"]).expect_code(0);
        let keys = serde_json::json!({ "keys": [{
            "kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "n": issuer.modulus(), "e": EXPONENT,
        }] });
        fs::write(issuer.path("keys.json"), keys.to_string()).expect("the keys");
        issuer
    }

    /// The `[auth.oauth]` section that takes this issuer's tokens.
    pub fn settings(&self) -> String {
        format!(
            "[auth.oauth]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\nkeys = \"file:{}\"\n\
             user_claim = \"email\"\nalgorithms = [\"RS256\"]\n",
            text(&self.path("keys.json"))
        )
    }

    /// A token for `user` that is good for an hour.
    pub fn token(&self, user: &str) -> String {
        self.token_until(user, now() + 3600)
    }

    /// One that ended an hour ago.
    pub fn expired_token(&self, user: &str) -> String {
        self.token_until(user, now() - 3600)
    }

    fn token_until(&self, user: &str, end: u64) -> String {
        let head = serde_json::json!({ "typ": "JWT", "alg": "RS256", "kid": KEY_ID });
        let claims =
            serde_json::json!({ "iss": ISSUER, "aud": AUDIENCE, "email": user, "exp": end });
        let [head, claims] = [head, claims].map(|part| base64url(part.to_string().as_bytes()));
        let signed = format!("{head}.{claims}");
        let signature = base64url(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn sign(&self, octets: &[u8]) -> Vec<u8> {
        let signature = self.path("signature");
        let mut command = limited(&path_of("openssl"));
        command.args(["dgst", "-sha256", "-sign", &text(&self.path("key.pem"))]);
        command.arg("-out").arg(&signature);
        finish(command, octets).expect_code(0);
        fs::read(signature).expect("a signature")
    }

    fn modulus(&self) -> String {
        let key = text(&self.path("key.pem"));
        let ran = run("openssl", &["rsa", "-in", &key, "-noout", "-modulus"]).expect_code(0);
        let (_, digits) = ran.out.trim().split_once('=').expect("a modulus");
        let pairs = digits.as_bytes().chunks(2);
        let octets: Vec<u8> = pairs
            .map(|pair| std::str::from_utf8(pair).expect("ASCII"))
            .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
            .collect();
        base64url(&octets)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// RFC 7515 section 2.
fn base64url(octets: &[u8]) -> String {
    let text = base64(octets).replace('+', "-").replace('/', "_");
    text.trim_end_matches('=').to_owned()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a time after 1970").as_secs()
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}
