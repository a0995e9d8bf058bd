//! The users file: who may sign in, in TOML.
//!
//! ```toml
//! [user."ann@example.com"]
//! password = "$argon2id$v=19$m=19456,t=2,p=1$..."
//! scram_sha_256 = "SCRAM-SHA-256$200000:...$...:..."
//! may_relay = true               # true when left out
//! senders = ["ann@example.com"]  # none: see `auth.sender_match`
//! recipients = ["hosted", "ops@partner.example"]  # none: everybody
//! messages_per_hour = 200
//! recipients_per_hour = 1000
//! disabled = false
//! console_role = "operator"      # viewer, operator or admin; none: not at the console
//! totp = "GEZDGNBVGY3TQOJQ..."   # the secret of a second factor, at the console
//! ```
//!
//! A user without a password has it elsewhere: it signs in by a token, or is somebody of a
//! directory, whose rights the entry narrows. All that is wrong is reported at once, each with its
//! place.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use argon2::Params;
use aws_lc_rs::digest::{SHA256, digest};
use mail::Place;
use relay_policy::{RecipientPattern, Rights, SendOnlyTo, SenderPattern};
use toml_edit::{Document, Item, TableLike};

use crate::decoys::Look;
use crate::hash::{self, StoredHash};
use crate::{Account, ConsoleRole, Decoys, ScramKeys, Totp, Tried, prepare_name};

/// The most users of a file; more belong in a directory.
pub const USERS_MAX: usize = 100_000;
/// The most senders of one user, and the most recipients.
const ADDRESSES_MAX: usize = 1000;
/// After so many problems the rest is not read.
const PROBLEMS_MAX: usize = 100;

/// Something wrong in a users file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file; the first one is 1.
    pub line: u32,
    /// The column, counted in characters; the first one is 1.
    pub column: u32,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// The users of a file.
#[derive(Clone)]
pub struct Users {
    by_name: HashMap<String, User>,
    /// What an unknown user costs: as much as the first user of the file.
    cost: Params,
    /// What the SCRAM keys of an unknown user look like: those of the first user that has some.
    look: Look,
    decoys: Decoys,
}

/// One entry of the file.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) account: Account,
    pub(crate) password: Option<StoredHash>,
    scram: Option<ScramKeys>,
    console_role: Option<ConsoleRole>,
    totp: Option<Totp>,
    pub(crate) disabled: bool,
}

/// Without randomness every sign-in fails earlier, for want of a nonce.
static OF_THIS_PROCESS: LazyLock<Decoys> =
    LazyLock::new(|| Decoys::draw().unwrap_or_else(|_| Decoys::new([0; 32])));

impl Default for Users {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            cost: hash::new_params(),
            look: Look::default(),
            decoys: OF_THIS_PROCESS.clone(),
        }
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.by_name.len())
    }
}

impl Users {
    /// Reads a users file; `file` is its name for [`Place`]. Everything that is wrong with it
    /// otherwise.
    pub fn parse(text: &str, file: &Arc<str>) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader {
            lines: line_starts(text),
            text,
            file,
            problems: Vec::new(),
        };
        let users = reader.users();
        if reader.problems.is_empty() {
            Ok(users)
        } else {
            Err(reader.problems)
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The user of this name, if it may sign in. Proves nothing.
    pub fn find(&self, name: &str) -> Option<&Account> {
        self.enabled(name).map(|user| &user.account)
    }

    /// What the user of this name may do at the console; nothing for most, and for who is disabled.
    pub fn console_role(&self, name: &str) -> Option<ConsoleRole> {
        self.enabled(name)?.console_role
    }

    /// The second factor of the user of this name, if the user has one.
    pub fn totp(&self, name: &str) -> Option<&Totp> {
        self.enabled(name)?.totp.as_ref()
    }

    /// What is another one as soon as the file has another password or second factor for the user of
    /// this name: a digest, by which neither can be told.
    pub fn stamp(&self, name: &str) -> String {
        let user = self.entry(name);
        let password = user.and_then(|user| user.password.as_ref());
        let totp = user.and_then(|user| user.totp.as_ref());
        let text = [
            password.map(StoredHash::text).unwrap_or_default(),
            totp.map(Totp::to_base32).unwrap_or_default(),
        ];
        mail::hex(digest(&SHA256, text.join(" ").as_bytes()))
    }

    /// Whether there is somebody who may sign in at the console.
    pub fn have_console_roles(&self) -> bool {
        let mut users = self.by_name.values();
        users.any(|user| user.console_role.is_some() && !user.disabled)
    }

    /// Whether every user with a password can sign in by SCRAM.
    pub(crate) fn know_scram_keys(&self) -> bool {
        self.by_name
            .values()
            .all(|user| user.password.is_none() || user.scram.is_some())
    }

    /// What the file says of this name.
    pub(crate) fn entry(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    fn enabled(&self, name: &str) -> Option<&User> {
        self.entry(name).filter(|user| !user.disabled)
    }

    /// Whether this is the user's password; unknown where the file has none for the name, and that
    /// takes as long.
    pub(crate) fn verify(&self, name: &str, password: &str) -> Tried<Account> {
        let user = self.enabled(name);
        let Some((user, stored)) = user.and_then(|user| Some((user, user.password.as_ref()?)))
        else {
            // Where the file has nobody, nobody takes longer.
            if !self.is_empty() {
                let _ = hash::waste_time(&self.cost, password);
            }
            return Tried::Unknown;
        };
        if stored.matches(password) {
            Tried::Right(user.account.clone())
        } else {
            Tried::Wrong(Arc::clone(&user.account.name))
        }
    }

    /// The keys that check a SCRAM proof for this name, and whose they are. Who is disabled has the
    /// keys of before, and nobody has made-up ones, so that only the right proof tells anything.
    pub(crate) fn scram_keys(&self, name: &str) -> (Option<Account>, ScramKeys) {
        let user = self.entry(name);
        match user.and_then(|user| Some((user, user.scram.as_ref()?))) {
            Some((user, keys)) => {
                let account = (!user.disabled).then(|| user.account.clone());
                (account, keys.clone())
            }
            None => (None, self.decoys.keys(name, self.look)),
        }
    }

    /// With the decoys of `decoys` for names that nobody has; without this they are other ones in
    /// each process.
    #[must_use]
    pub fn with_decoys(self, decoys: Decoys) -> Self {
        Self { decoys, ..self }
    }
}

/// Reads a file and notes what is wrong.
struct Reader<'a> {
    text: &'a str,
    lines: Vec<usize>,
    file: &'a Arc<str>,
    problems: Vec<Problem>,
}

/// One key of one user.
struct Field<'a> {
    key: &'a str,
    item: &'a Item,
    at: Range<usize>,
}

impl Reader<'_> {
    fn users(&mut self) -> Users {
        let mut users = Users::default();
        let document = match Document::parse(self.text) {
            Ok(document) => document,
            Err(error) => {
                self.problem(error.span().unwrap_or(0..0), error.message());
                return users;
            }
        };
        for (key, item) in document.iter() {
            let at = span_of(document.as_table(), key);
            match item.as_table_like() {
                Some(table) if key == "user" => self.table(table, &mut users),
                Some(_) | None => self.problem(
                    at,
                    format!("only [user.\"NAME\"] stands in a users file, not `{key}`"),
                ),
            }
        }
        users
    }

    fn table(&mut self, table: &dyn TableLike, users: &mut Users) {
        let mut first_look = None;
        for (raw, item) in table.iter() {
            let at = span_of(table, raw);
            if self.problems.len() >= PROBLEMS_MAX {
                return;
            }
            if users.by_name.len() >= USERS_MAX {
                return self.problem(at, format!("more than {USERS_MAX} users"));
            }
            let Some(name) = prepare_name(raw) else {
                self.problem(at, "this cannot be a user's name");
                continue;
            };
            let Some(fields) = item.as_table_like() else {
                self.problem(at, "a user is a table: [user.\"NAME\"]");
                continue;
            };
            let user = self.user(raw, at.clone(), fields);
            if let (0, Some(hash)) = (users.by_name.len(), &user.password) {
                users.cost = hash.params().clone();
            }
            if let Some(keys) = &user.scram {
                users.look = *first_look.get_or_insert(Look::of(keys));
            }
            if users.by_name.insert(name, user).is_some() {
                self.problem(at, "this user is already there, in other letters");
            }
        }
    }

    fn user(&mut self, name: &str, at: Range<usize>, fields: &dyn TableLike) -> User {
        let (line, column) = self.position(at.start);
        let mut rights = Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::line(self.file, line, column),
        };
        let mut user = User {
            account: Account {
                name: name.into(),
                rights: Arc::new(rights.clone()),
                messages_per_hour: None,
                recipients_per_hour: None,
            },
            password: None,
            scram: None,
            console_role: None,
            totp: None,
            disabled: false,
        };
        for (key, item) in fields.iter() {
            let at = item.span().unwrap_or_else(|| span_of(fields, key));
            self.field(Field { key, item, at }, &mut user, &mut rights);
        }
        if user.scram.is_some() && user.password.is_none() {
            self.problem(at, "`scram_sha_256` needs `password` beside it");
        }
        user.account.rights = Arc::new(rights);
        user
    }

    fn field(&mut self, field: Field<'_>, user: &mut User, rights: &mut Rights) {
        match field.key {
            "password" => user.password = self.read(&field, "a password hash", read_hash),
            "scram_sha_256" => user.scram = self.read(&field, "SCRAM keys", read_scram),
            "may_relay" => rights.may_relay = self.flag(&field, true),
            "disabled" => user.disabled = self.flag(&field, false),
            "console_role" => user.console_role = self.read(&field, "a role", read_role),
            "totp" => user.totp = self.read(&field, "a secret", Totp::parse),
            "messages_per_hour" => user.account.messages_per_hour = self.number(&field),
            "recipients_per_hour" => user.account.recipients_per_hour = self.number(&field),
            "senders" => rights.senders = self.addresses(&field, SenderPattern::parse).into(),
            "recipients" => rights.only_to = self.only_to(&field),
            other => self.problem(field.at, format!("a user has no key `{other}`")),
        }
    }

    fn read<T>(
        &mut self,
        field: &Field<'_>,
        what: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = field.item.as_str() else {
            self.expected(field, &format!("{what} in quotes"));
            return None;
        };
        read(text)
            .map_err(|why| self.problem(field.at.clone(), why))
            .ok()
    }

    fn flag(&mut self, field: &Field<'_>, otherwise: bool) -> bool {
        field.item.as_bool().unwrap_or_else(|| {
            self.expected(field, "true or false");
            otherwise
        })
    }

    fn number(&mut self, field: &Field<'_>) -> Option<u32> {
        let number = field.item.as_integer().and_then(|n| u32::try_from(n).ok());
        if number.is_none() {
            self.expected(field, "a whole number");
        }
        number
    }

    /// A list of nobody would look like one of everybody.
    fn only_to(&mut self, field: &Field<'_>) -> Box<[SendOnlyTo]> {
        let recipients = self.addresses(field, RecipientPattern::parse);
        if recipients.is_empty() {
            self.expected(field, "a list that names somebody, or left out");
        }
        let (line, column) = self.position(field.at.start);
        let place = Place::line(self.file, line, column);
        [SendOnlyTo {
            recipients: recipients.into(),
            place,
        }]
        .into()
    }

    fn addresses<T>(
        &mut self,
        field: &Field<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(list) = field.item.as_array() else {
            self.expected(field, "a list of addresses and domains in quotes");
            return Vec::new();
        };
        if list.len() > ADDRESSES_MAX {
            self.expected(field, &format!("at most {ADDRESSES_MAX} {}", field.key));
        }
        let mut addresses = Vec::new();
        for value in list.iter().take(ADDRESSES_MAX) {
            let at = value.span().unwrap_or_else(|| field.at.clone());
            match value.as_str().map(&parse) {
                Some(Ok(address)) => addresses.push(address),
                Some(Err(why)) => self.problem(at, why),
                None => self.problem(at, format!("`{}` holds text in quotes", field.key)),
            }
        }
        addresses
    }

    fn expected(&mut self, field: &Field<'_>, what: &str) {
        self.problem(field.at.clone(), format!("`{}` is {what}", field.key));
    }

    fn problem(&mut self, at: Range<usize>, message: impl Into<String>) {
        let (line, column) = self.position(at.start);
        self.problems.push(Problem {
            line,
            column,
            message: message.into(),
        });
    }

    fn position(&self, at: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..at).unwrap_or_default();
        (line as u32, before.chars().count() as u32 + 1)
    }
}

fn read_hash(text: &str) -> Result<StoredHash, String> {
    StoredHash::parse(text)
}

fn read_role(text: &str) -> Result<ConsoleRole, String> {
    let words = || "a role is \"viewer\", \"operator\" or \"admin\"".to_owned();
    ConsoleRole::parse(text).ok_or_else(words)
}

fn read_scram(text: &str) -> Result<ScramKeys, String> {
    ScramKeys::parse(text).ok_or_else(|| {
        "SCRAM keys are written SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER, with at least 4096 iterations".into()
    })
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect()
}

fn span_of(table: &dyn TableLike, key: &str) -> Range<usize> {
    table
        .key(key)
        .and_then(|key| key.span())
        .or_else(|| table.get(key).and_then(Item::span))
        .unwrap_or(0..0)
}

#[cfg(test)]
#[path = "users_tests.rs"]
pub(crate) mod tests;
