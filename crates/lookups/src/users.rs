//! Who may sign in with a password: the users of the file, then the people of directories.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use config::{Config, FILE_OCTETS_MAX, read_file};
use sign_in::{Sources, Users};

use crate::answers::Answers;
use crate::purpose::Purpose;
use crate::{decoys, secret};

/// Who may sign in, by one configuration.
#[derive(Debug)]
pub struct UserSources {
    /// The users of the file first, then the people of directories.
    pub sources: Arc<Sources>,
    /// A digest of the users file, where there is one: another one says that there are others.
    pub digest: Option<u64>,
}

impl UserSources {
    /// Reads the users file that `config` names, and what goes with it.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub fn read(config: &Config, answers: &Answers, purpose: Purpose) -> Result<Self, Vec<String>> {
        let (users, digest) = read_users(config)?;
        let decoys = decoys::of(&config.data_dir, purpose).map_err(|why| vec![why])?;
        let sources = Sources::new(users.with_decoys(decoys), answers.people(config));
        Ok(Self {
            sources: Arc::new(sources),
            digest,
        })
    }
}

/// The users of the file; nobody where there is none.
fn read_users(config: &Config) -> Result<(Users, Option<u64>), Vec<String>> {
    let path = &config.auth.users_file;
    let read = read_file(path, FILE_OCTETS_MAX);
    let read = read.and_then(|octets| String::from_utf8(octets).map_err(io::Error::other));
    let text = match read {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Users::default(), None));
        }
        Err(error) => return Err(vec![format!("{}: {error}", path.display())]),
    };
    secret::check_rights(path).map_err(|why| vec![why])?;
    let name = path.display().to_string().into();
    let users = Users::parse(&text, &name);
    let users = users.map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Ok((users, Some(hasher.finish())))
}
