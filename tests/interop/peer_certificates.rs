//! Certificates for servers and clients beside the relay: an authority of a test's own, and what it
//! signs, as PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

use crate::program::run;

pub struct PeerAuthority {
    issuer: Issuer<'static, KeyPair>,
    folder: Arc<TempDir>,
}

/// A chain and its key.
pub struct PeerCertificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Where both are, also when the authority is gone.
    _folder: Arc<TempDir>,
}

impl PeerAuthority {
    pub fn new() -> PeerAuthority {
        PeerAuthority::named("authority of a test")
    }

    pub fn named(name: &str) -> PeerAuthority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("the authority's file");
        let issuer = Issuer::new(params, key);
        PeerAuthority { issuer, folder }
    }

    /// The authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these DNS names, good for years.
    pub fn certificate(&self, names: &[&str]) -> PeerCertificate {
        self.sign(names, (2020, 2090))
    }

    /// The same, but its time is over.
    pub fn expired(&self, name: &str) -> PeerCertificate {
        self.sign(&[name], (2020, 2021))
    }

    /// The same, with a common name alone.
    pub fn without_alternative_names(&self, common: &str) -> PeerCertificate {
        self.sign_named(common, &[], (2020, 2090))
    }

    fn sign(&self, names: &[&str], years: (i32, i32)) -> PeerCertificate {
        self.sign_named(names.first().expect("a name"), names, years)
    }

    fn sign_named(&self, common: &str, names: &[&str], (from, to): (i32, i32)) -> PeerCertificate {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of certificates");
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        self.write(&certificate.pem(), &key.serialize_pem())
    }

    fn write(&self, certificate: &str, key: &str) -> PeerCertificate {
        let number = fs::read_dir(self.folder.path())
            .expect("the folder")
            .count();
        let files = PeerCertificate {
            chain: self.folder.path().join(format!("{number}.pem")),
            key: self.folder.path().join(format!("{number}.key")),
            _folder: Arc::clone(&self.folder),
        };
        fs::write(&files.chain, certificate).expect("a certificate's file");
        fs::write(&files.key, key).expect("a key's file");
        // A key that others may read is refused.
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).expect("its rights");
        files
    }
}

impl PeerCertificate {
    /// SHA-256 of the public key, in hexadecimal, as openssl computes it: what `TLSA 3 1 1` holds.
    pub fn public_key_digest(&self) -> String {
        let (pem, der) = (
            self.chain.with_extension("public.pem"),
            self.chain.with_extension("public.der"),
        );
        let chain = text(&self.chain);
        run(
            "openssl",
            &[
                "x509",
                "-in",
                &chain,
                "-noout",
                "-pubkey",
                "-out",
                &text(&pem),
            ],
        )
        .expect_code(0);
        run(
            "openssl",
            &[
                "pkey",
                "-pubin",
                "-in",
                &text(&pem),
                "-outform",
                "DER",
                "-out",
                &text(&der),
            ],
        )
        .expect_code(0);
        let ran = run("openssl", &["dgst", "-sha256", "-r", &text(&der)]).expect_code(0);
        let digest = ran.out.split_whitespace().next().expect("a digest");
        digest.to_owned()
    }

    /// The lines with which Postfix shows it.
    pub fn for_postfix(&self) -> String {
        format!(
            "smtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n",
            text(&self.chain),
            text(&self.key)
        )
    }
}

pub fn text(path: &Path) -> String {
    path.display().to_string()
}
