//! Reads the secrets by which senders of forwarded messages are rewritten.

use config::Config;
use srs::Scheme;

use crate::secret;

/// A shorter secret could be guessed from the addresses that it has signed.
const SECRET_OCTETS_MIN: usize = 16;

/// How senders are rewritten by this configuration; nobody is where it does not say so.
///
/// # Errors
/// A secret cannot be read, or is too short; never says what it is.
pub fn scheme(config: &Config) -> Result<Scheme, String> {
    let Some(srs) = &config.srs else {
        return Ok(Scheme::new([""; 0], 0));
    };
    // Further lines of the first file are old secrets as well: so postsrsd has them.
    let mut secrets = secret::read_lines(&srs.secret)?;
    for old in &srs.old_secrets {
        secrets.extend(secret::read_lines(old)?);
    }
    if secrets
        .iter()
        .any(|secret| secret.len() < SECRET_OCTETS_MIN)
    {
        return Err(format!(
            "[srs]: a secret has at least {SECRET_OCTETS_MIN} octets"
        ));
    }
    Ok(Scheme::new(secrets, srs.age_days))
}
