//! A certificate authority of a test's own, and what it signs. All is made by openssl; nothing of
//! it is trusted by anybody who is not told to.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Ran, run};

/// Nothing of the machine's own openssl.cnf shall show in a certificate.
const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n";

/// Keys, as `openssl req` is told of them.
pub const ECDSA: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub const RSA: &[&str] = &["-newkey", "rsa:2048"];
pub const ED25519: &[&str] = &["-newkey", "ed25519"];

const ANY_PURPOSE: &str = "serverAuth,clientAuth";

pub struct Authority {
    folder: TempDir,
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("openssl.cnf"), CONFIG).expect("openssl's configuration");
        let authority = Authority { folder };
        authority.make(
            "authority",
            ECDSA,
            &[
                "-subj=/CN=Authority of the tests",
                "-addext=basicConstraints=critical,CA:TRUE",
                "-addext=keyUsage=critical,keyCertSign,cRLSign",
            ],
        );
        authority
    }

    /// The authority's own certificate with its key, as devices show one that they have made
    /// themselves.
    pub fn itself(&self) -> Pair {
        self.pair("authority")
    }

    /// The authority's own certificate, for those who are to trust it.
    pub fn certificate(&self) -> PathBuf {
        self.pair("authority").certificate
    }

    /// A certificate for `name`, as a server or a client; each call makes another one.
    pub fn issue(&self, name: &str) -> Pair {
        self.issue_by(ECDSA, name)
    }

    /// The same with another kind of key.
    pub fn issue_by(&self, key: &[&str], name: &str) -> Pair {
        self.sign(key, name, &format!("DNS:{name}"), ANY_PURPOSE)
    }

    /// A certificate for `purpose` alone (extendedKeyUsage).
    pub fn issue_only(&self, name: &str, purpose: &str) -> Pair {
        self.sign(ECDSA, name, &format!("DNS:{name}"), purpose)
    }

    /// A new certificate for the key of another.
    pub fn renew(&self, pair: &Pair, name: &str) -> Pair {
        let old = text(&pair.key);
        let alternative = format!("DNS:{name}");
        let new = self.sign(&["-key", &old], name, &alternative, ANY_PURPOSE);
        let key = pair.key.clone();
        Pair { key, ..new }
    }

    /// A certificate of X.509 version 1, which nobody signed.
    pub fn version_1(&self, name: &str) -> Pair {
        let pair = self.issue(name);
        let request = text(&pair.key.with_extension("csr"));
        let (key, certificate) = (text(&pair.key), text(&pair.certificate));
        let subject = format!("/CN={name}");
        let config = text(&self.folder.path().join("openssl.cnf"));
        let mut asked = vec!["req", "-new", "-config", &config, "-key", &key];
        asked.extend(["-subj", &subject, "-out", &request]);
        run("openssl", &asked).expect_code(0);
        let signed = [
            "x509",
            "-req",
            "-in",
            &request,
            "-signkey",
            &key,
            "-out",
            &certificate,
        ];
        run("openssl", &signed).expect_code(0);
        pair
    }

    /// The same for a server that is known by its address too.
    pub fn issue_for(&self, name: &str, address: IpAddr) -> Pair {
        let alternative = format!("DNS:{name},IP:{address}");
        self.sign(ECDSA, name, &alternative, ANY_PURPOSE)
    }

    fn sign(&self, key: &[&str], name: &str, alternative: &str, purposes: &str) -> Pair {
        let authority = self.pair("authority");
        // NSS takes no RSA key that may not encipher.
        let usages = if key == RSA {
            "digitalSignature,keyEncipherment"
        } else {
            "digitalSignature"
        };
        let already = fs::read_dir(self.folder.path())
            .expect("the folder")
            .count();
        self.make(
            &format!("{already}-{name}"),
            key,
            &[
                &format!("-subj=/CN={name}"),
                &format!("-addext=subjectAltName={alternative}"),
                "-addext=basicConstraints=critical,CA:FALSE",
                &format!("-addext=keyUsage=critical,{usages}"),
                &format!("-addext=extendedKeyUsage={purposes}"),
                // Nobody fetches it; scanners want to see that there is one.
                "-addext=crlDistributionPoints=URI:http://authority.test/revoked.crl",
                &format!("-CA={}", text(&authority.certificate)),
                &format!("-CAkey={}", text(&authority.key)),
            ],
        )
    }

    fn pair(&self, file: &str) -> Pair {
        let path = |ending: &str| self.folder.path().join(format!("{file}.{ending}"));
        Pair {
            certificate: path("crt"),
            key: path("key"),
        }
    }

    /// `options` as openssl takes them, each with `=` in place of the space behind its name.
    fn make(&self, file: &str, key_options: &[&str], options: &[&str]) -> Pair {
        let pair = self.pair(file);
        let config = text(&self.folder.path().join("openssl.cnf"));
        let (key, certificate) = (text(&pair.key), text(&pair.certificate));
        let mut words = vec!["req", "-x509", "-config", &config, "-days", "90"];
        words.extend(key_options);
        words.extend(["-nodes", "-keyout", &key, "-out", &certificate]);
        for option in options {
            let (name, value) = option.split_once('=').expect("a name and a value");
            words.extend([name, value]);
        }
        run("openssl", &words).expect_code(0);
        pair
    }
}

impl Pair {
    /// The lines of a `[tls]` or `[listener.NAME]` section that name these files.
    pub fn settings(&self) -> String {
        format!(
            "certificate = {:?}\nkey = {:?}\n",
            self.certificate, self.key
        )
    }

    /// `sha256:` and the hexadecimal digits.
    pub fn fingerprint(&self) -> String {
        fingerprint(&fs::read_to_string(&self.certificate).expect("a certificate"))
    }

    /// Puts these files where others were.
    pub fn replace(&self, old: &Pair) {
        fs::copy(&self.key, &old.key).expect("the key is copied");
        fs::copy(&self.certificate, &old.certificate).expect("the certificate is copied");
    }
}

/// The fingerprint of a PEM certificate, as `sha256:` and hexadecimal digits.
pub fn fingerprint(pem: &str) -> String {
    let options = ["x509", "-noout", "-fingerprint", "-sha256"];
    let Ran { out, .. } = crate::program::feed("openssl", &options, pem.as_bytes()).expect_code(0);
    let (_, digits) = out.trim().split_once('=').expect("a fingerprint");
    format!("sha256:{}", digits.replace(':', "").to_lowercase())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
