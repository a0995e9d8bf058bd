//! A certificate authority of a test's own, and what it signs. All is made by openssl; nothing of it is trusted by
//! anybody who is not told to.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Ran, run};

/// Nothing of the machine's own openssl.cnf shall show in a certificate.
const CONFIG: &str = "[req]\ndistinguished_name = name\n[name]\n";

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
            &[
                "-subj=/CN=Authority of the tests",
                "-addext=basicConstraints=critical,CA:TRUE",
                "-addext=keyUsage=critical,keyCertSign,cRLSign",
            ],
        );
        authority
    }

    /// The authority's own certificate, for those who are to trust it.
    pub fn certificate(&self) -> PathBuf {
        self.pair("authority").certificate
    }

    /// A certificate for `name`, as a server or a client; each call makes another one.
    pub fn issue(&self, name: &str) -> Pair {
        self.sign(name, &format!("DNS:{name}"))
    }

    /// The same for a server that is known by its address too.
    pub fn issue_for(&self, name: &str, address: IpAddr) -> Pair {
        self.sign(name, &format!("DNS:{name},IP:{address}"))
    }

    fn sign(&self, name: &str, alternative: &str) -> Pair {
        let authority = self.pair("authority");
        let already = fs::read_dir(self.folder.path())
            .expect("the folder")
            .count();
        self.make(
            &format!("{already}-{name}"),
            &[
                &format!("-subj=/CN={name}"),
                &format!("-addext=subjectAltName={alternative}"),
                "-addext=basicConstraints=critical,CA:FALSE",
                "-addext=keyUsage=critical,digitalSignature",
                "-addext=extendedKeyUsage=serverAuth,clientAuth",
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
    fn make(&self, file: &str, options: &[&str]) -> Pair {
        let pair = self.pair(file);
        let config = text(&self.folder.path().join("openssl.cnf"));
        let (key, certificate) = (text(&pair.key), text(&pair.certificate));
        let mut words = vec!["req", "-x509", "-config", &config, "-days", "90"];
        words.extend([
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ]);
        words.extend(["-keyout", &key, "-out", &certificate]);
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
