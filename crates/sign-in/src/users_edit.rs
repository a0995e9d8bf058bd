//! Changes to a users file that leave everything else in it as it was, comments too.

use std::fmt;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value, value};

use crate::name::prepare_password;
use crate::{ConsoleRole, ScramKeys, Totp, hash, prepare_name};

/// A user to be added.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser<'a> {
    /// The name; kept as it is written, found in any case of letters.
    pub name: &'a str,
    /// The password. None: the user signs in by token only.
    pub password: Option<&'a str>,
    /// Whether the user may send to domains that are not ours.
    pub may_relay: bool,
    /// The senders the user may name; none: see `auth.sender_match`.
    pub senders: &'a [String],
    /// The recipients to whom alone the user may send; none: to everybody.
    pub recipients: &'a [String],
    /// What the user may do at the console.
    pub console_role: Option<ConsoleRole>,
}

impl fmt::Debug for NewUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewUser({})", self.name)
    }
}

/// Why a users file was not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditError {
    /// The file is not TOML, or has something else where the users belong.
    NotUsers(String),
    /// There is such a user already.
    Exists,
    /// There is no such user.
    Unknown,
    /// Nobody can be called that.
    Name,
    /// Nobody can have that password: empty, too long, or with a NUL.
    Password,
    /// This is neither an address nor a domain.
    Address(String),
    /// The system has no randomness for a salt.
    NoRandomness,
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUsers(why) => write!(f, "not a users file: {why}"),
            Self::Exists => f.write_str("this user exists already"),
            Self::Unknown => f.write_str("there is no such user"),
            Self::Name => f.write_str("this cannot be a user's name"),
            Self::Password => f.write_str("a password has 1 to 1024 octets and no NUL"),
            Self::Address(why) => f.write_str(why),
            Self::NoRandomness => f.write_str("the system has no randomness"),
        }
    }
}

impl std::error::Error for EditError {}

/// A users file being changed.
#[derive(Debug, Clone)]
pub struct UserFile(DocumentMut);

impl UserFile {
    /// Opens the text of a users file, which may be empty. Only its form is looked at;
    /// [`crate::Users::parse`] checks the rest.
    pub fn open(text: &str) -> Result<Self, EditError> {
        let document: DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| EditError::NotUsers(error.message().into()))?;
        match document.get("user") {
            Some(users) if !users.is_table_like() => {
                Err(EditError::NotUsers("`user` is not a table".into()))
            }
            Some(_) | None => Ok(Self(document)),
        }
    }

    /// The text as it is now.
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    /// The users' names as written, in the order of the file.
    pub fn names(&self) -> Vec<&str> {
        let users = self.0.get("user").and_then(Item::as_table_like);
        users.map_or_else(Vec::new, |users| {
            users.iter().map(|(name, _)| name).collect()
        })
    }

    /// Adds a user at the end. Costs a password hash and SCRAM keys, some 100 ms.
    pub fn add(&mut self, new: &NewUser<'_>) -> Result<(), EditError> {
        let name = prepare_name(new.name).ok_or(EditError::Name)?;
        if self.written(&name).is_some() {
            return Err(EditError::Exists);
        }
        let mut user = Table::new();
        if let Some(password) = new.password {
            Secrets::of(password)?.write(&mut user);
        }
        if !new.may_relay {
            user["may_relay"] = value(false);
        }
        if !new.senders.is_empty() {
            user["senders"] = value(addresses(new.senders, relay_policy::SenderPattern::parse)?);
        }
        if !new.recipients.is_empty() {
            let recipients = addresses(new.recipients, relay_policy::RecipientPattern::parse)?;
            user["recipients"] = value(recipients);
        }
        if let Some(role) = new.console_role {
            user["console_role"] = value(role.as_str());
        }
        self.users()?.insert(new.name, Item::Table(user));
        Ok(())
    }

    /// Gives a user a new password. Costs as much as [`UserFile::add`].
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<(), EditError> {
        let written = self.find(name)?;
        let secrets = Secrets::of(password)?;
        secrets.write(self.user(&written)?);
        Ok(())
    }

    /// Says what a user may do at the console, or takes it away.
    pub fn set_console_role(
        &mut self,
        name: &str,
        role: Option<ConsoleRole>,
    ) -> Result<(), EditError> {
        let role = role.map(|role| role.as_str().to_owned());
        self.set_or_remove(name, "console_role", role)
    }

    /// Gives a user a second factor for the console, in place of the one before, or takes it away.
    pub fn set_totp(&mut self, name: &str, totp: Option<&Totp>) -> Result<(), EditError> {
        self.set_or_remove(name, "totp", totp.map(Totp::to_base32))
    }

    fn set_or_remove(
        &mut self,
        name: &str,
        key: &str,
        text: Option<String>,
    ) -> Result<(), EditError> {
        let written = self.find(name)?;
        let user = self.user(&written)?;
        match text {
            Some(text) => set(user, key, text),
            None => {
                user.remove(key);
            }
        }
        Ok(())
    }

    /// Takes a user out, with the comment above it.
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let written = self.find(name)?;
        self.users()?.remove(&written);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<String, EditError> {
        let name = prepare_name(name).ok_or(EditError::Unknown)?;
        self.written(&name).ok_or(EditError::Unknown)
    }

    /// The name as the file has it.
    fn written(&self, name: &str) -> Option<String> {
        self.names()
            .into_iter()
            .find(|written| prepare_name(written).as_deref() == Some(name))
            .map(str::to_owned)
    }

    /// The entry with this name as the file has it.
    fn user(&mut self, written: &str) -> Result<&mut dyn TableLike, EditError> {
        self.users()?
            .get_mut(written)
            .and_then(Item::as_table_like_mut)
            .ok_or_else(|| EditError::NotUsers("a user is not a table".into()))
    }

    fn users(&mut self) -> Result<&mut dyn TableLike, EditError> {
        let users = self.0.entry("user").or_insert_with(|| {
            let mut table = Table::new();
            // No line [user] of its own, only [user."NAME"].
            table.set_implicit(true);
            Item::Table(table)
        });
        users
            .as_table_like_mut()
            .ok_or_else(|| EditError::NotUsers("`user` is not a table".into()))
    }
}

/// A password as the file keeps it.
struct Secrets {
    hash: String,
    scram: String,
}

impl Secrets {
    fn of(password: &str) -> Result<Self, EditError> {
        let password = prepare_password(password.as_bytes()).ok_or(EditError::Password)?;
        Ok(Self {
            hash: hash::hash(&password).map_err(|_| EditError::NoRandomness)?,
            scram: ScramKeys::new(&password)
                .map_err(|_| EditError::NoRandomness)?
                .to_text(),
        })
    }

    fn write(self, user: &mut dyn TableLike) {
        set(user, "password", self.hash);
        set(user, "scram_sha_256", self.scram);
    }
}

/// Sets a value; what stands around it on its line stays.
fn set(table: &mut dyn TableLike, key: &str, text: String) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            let decor = old.decor().clone();
            *old = Value::from(text);
            *old.decor_mut() = decor;
        }
        None => {
            table.insert(key, value(text));
        }
    }
}

/// Each as `parse` takes it.
fn addresses<T>(
    list: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Array, EditError> {
    for address in list {
        parse(address).map_err(EditError::Address)?;
    }
    Ok(list.iter().map(String::as_str).collect())
}
