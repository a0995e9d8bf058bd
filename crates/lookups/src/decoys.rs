//! What SCRAM shows for names that nobody has is made from a seed. It is kept in a file, because a
//! salt that is another after a restart tells that there is no such user.

use std::fs;
use std::io;
use std::path::Path;

use sign_in::Decoys;
use tls::replace;

use crate::purpose::Purpose;
use crate::secret;

/// The file in `data_dir` that keeps the seed.
const FILE: &str = "sign-in.seed";

/// The decoys of this relay. A start makes the seed where there is none.
///
/// # Errors
/// The seed is there, and cannot be used.
pub(crate) fn of(data_dir: &Path, purpose: Purpose) -> Result<Decoys, String> {
    let path = data_dir.join(FILE);
    let trouble = |why: &str| format!("{}: {why}", path.display());
    match fs::read(&path) {
        Ok(octets) => {
            secret::check_rights(&path)?;
            let seed = <[u8; 32]>::try_from(octets.as_slice());
            seed.map(Decoys::new)
                .map_err(|_| trouble("not 32 octets long: remove it, and another is made"))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(trouble(&error.to_string())),
        Err(_) => {
            let decoys = Decoys::draw().map_err(|_| "the system has no randomness".to_owned())?;
            if purpose == Purpose::Serve
                && let Err(error) = replace(&path, decoys.seed(), 0o600)
            {
                // A full disk is no reason not to deliver what waits.
                let path = path.display();
                tracing::warn!(%path, %error, "the seed of SCRAM salts for unknown users is not kept: after a restart they are others");
            }
            Ok(decoys)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_a_start_is_that_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let seed = |purpose| of(folder.path(), purpose).map(|decoys| *decoys.seed());
        let looked = seed(Purpose::Look).unwrap();
        let first = seed(Purpose::Serve).unwrap();
        assert_ne!(looked, first, "looking leaves nothing");
        assert_eq!(seed(Purpose::Serve), Ok(first));
        assert_eq!(seed(Purpose::Look), Ok(first));
        fs::write(folder.path().join(FILE), "short").unwrap();
        assert!(seed(Purpose::Serve).unwrap_err().contains("not 32 octets"));
    }

    #[test]
    fn a_seed_that_cannot_be_kept_stops_nobody() {
        let nowhere = Path::new("/proc/self/no-such-folder");
        assert!(of(nowhere, Purpose::Serve).is_ok());
    }
}
