//! Recipients and passwords from a directory (LDAP, RFC 4511).
//!
//! What a stranger wrote goes into a filter only escaped (RFC 4515). Referrals are not followed:
//! they would take the service's password to whatever server an answer names. A password is tried
//! on a connection of its own, so the kept ones stay bound as the service. "Nobody" is believed
//! only when the whole answer came and the directory's schema knows how to compare what the filter
//! compares; otherwise nobody can tell.

mod entry;
mod filter;
mod schema;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Directory as Settings;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchOptions, StdStream};
use mail::Mailbox;
use rustls::ClientConfig;
use sign_in::{Tried, prepare_name};
use tls::{client_config_for_https, plain};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use self::entry::Entry;
use self::filter::Filter;
use self::schema::{Fault, Schema};
use crate::kept::Kept;
use crate::resolver::Resolver;
use crate::{dial, secret};

/// Connections at one time to one directory, those that try passwords included.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
/// Entries asked for: one is the answer, a second shows that the filter is not exact.
const ENTRIES_MAX: i32 = 2;
/// For how long it is believed what the schema says.
const SCHEMA_TTL: Duration = Duration::from_secs(600);

/// RFC 4511 section 4.5.1.8: "1.1" asks for no attributes.
const NO_ATTRIBUTES: [&str; 1] = ["1.1"];
/// In `user_name`, the name of the entry itself.
const DN: &str = "dn";

/// Result codes of RFC 4511 section 4.1.9 after which what came is an answer, and perhaps not all
/// of it: timeLimitExceeded, sizeLimitExceeded, adminLimitExceeded.
const INCOMPLETE: [u32; 3] = [3, 4, 11];
/// There is none, or not for us: noSuchAttribute, noSuchObject, insufficientAccessRights,
/// unwillingToPerform.
const NOT_SHOWN: [u32; 4] = [16, NO_SUCH_OBJECT, 50, 53];
const REFERRAL: u32 = 10;
const NO_SUCH_OBJECT: u32 = 32;
/// Codes that say no to a bind: constraintViolation, inappropriateAuthentication,
/// invalidCredentials, unwillingToPerform.
const REFUSED: [u32; 4] = [19, 48, 49, 53];

/// One LDAP server of the configuration, which is asked for recipients and users.
pub struct Directory {
    settings: Settings,
    filter: Filter,
    user_filter: Filter,
    password: String,
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
    resolver: Arc<Resolver>,
    kept: Kept<(), Ldap>,
    permits: Semaphore,
    judged: Mutex<Option<(Instant, Arc<Judged>)>>,
}

/// Somebody who is in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryUser {
    /// The same whichever name was given, in the spelling of [`prepare_name`].
    pub name: Arc<str>,
    /// All names of the entry in that spelling; `None`: the directory shows none.
    pub names: Option<Box<[String]>>,
    /// The distinguished name of the entry.
    pub dn: String,
}

/// What the schema says about the filters; empty where it says nothing against them.
#[derive(Debug, Default)]
struct Judged {
    filter: Vec<String>,
    user_filter: Vec<String>,
    /// The directory does not show its schema.
    unread: bool,
}

/// A question to a directory.
struct Query<'a> {
    base: &'a str,
    scope: Scope,
    filter: &'a str,
    attributes: &'a [&'a str],
}

struct Found {
    entries: Vec<Entry>,
    /// The server said that there is no more.
    whole: bool,
}

/// Why there is no answer.
enum Trouble {
    /// The directory said so.
    Code(u32),
    Other(String),
}

impl Directory {
    /// A directory that is asked as `settings` says. Reads its secret and its authorities now,
    /// connects when somebody asks.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub fn new(settings: &Settings, resolver: Arc<Resolver>) -> Result<Self, String> {
        let trouble = |why: String| format!("ldap.{}: {why}", settings.name);
        let (host, port) = host_and_port(&settings.url).map_err(trouble)?;
        let filter = |text: &str| {
            Filter::parse(text).ok_or_else(|| trouble(format!("{text} is no LDAP filter")))
        };
        let password = settings.secret.as_ref().map(secret::read).transpose();
        let tls = client_config_for_https(settings.ca.as_deref()).map_err(trouble)?;
        Ok(Self {
            filter: filter(&settings.filter)?,
            user_filter: filter(&settings.user_filter)?,
            settings: settings.clone(),
            password: password.map_err(trouble)?.unwrap_or_default(),
            host,
            port,
            tls: Arc::new(tls),
            resolver,
            kept: Kept::new(CONNECTIONS_MAX, IDLE),
            permits: Semaphore::new(CONNECTIONS_MAX),
            judged: Mutex::default(),
        })
    }

    /// Whether the directory has this recipient.
    ///
    /// # Errors
    /// It could not be asked, or its answer says nothing; why.
    pub async fn has_recipient(&self, recipient: &Mailbox) -> Result<bool, String> {
        let filter = self.filter.with(recipient.as_str());
        let work = async {
            let found = self.search(&filter, &NO_ATTRIBUTES).await?;
            if !found.entries.is_empty() {
                return Ok(true);
            }
            if !found.whole {
                return Err(incomplete());
            }
            match self.judged().await?.filter.as_slice() {
                [] => Ok(false),
                faults => Err(Trouble::Other(faults.join(", "))),
            }
        };
        self.within(work).await
    }

    /// Who this name is; `None`: nobody, or it is not clear who.
    ///
    /// # Errors
    /// The directory could not be asked; why.
    pub async fn find(&self, name: &str) -> Result<Option<DirectoryUser>, String> {
        self.within(self.find_user(name)).await
    }

    /// Whose password this is, if it is that of the name.
    ///
    /// # Errors
    /// The directory could not be asked; why.
    pub async fn verify(&self, name: &str, password: &str) -> Result<Tried<DirectoryUser>, String> {
        // RFC 4513 section 5.1.2: a bind with a name and no password is "unauthenticated" and
        // succeeds: clients must not send one by mistake.
        if password.is_empty() {
            return Ok(Tried::Unknown);
        }
        let work = async {
            let Some(user) = self.find_user(name).await? else {
                return Ok(Tried::Unknown);
            };
            let mut connection = self.connect().await?;
            let result = connection.simple_bind(&user.dn, password).await?;
            // Whether the connection ends well changes nothing.
            let _goodbye = connection.unbind().await;
            match result.rc {
                0 => Ok(Tried::Right(user)),
                code if REFUSED.contains(&code) => Ok(Tried::Wrong(user.name)),
                code => Err(Trouble::Other(format!(
                    "the bind of a user ended with code {code}"
                ))),
            }
        };
        self.within(work).await
    }

    /// What keeps the filters from finding everybody whom they should find, as far as the directory
    /// says; or that it says nothing.
    pub async fn warnings(&self) -> Vec<String> {
        let name = &self.settings.name;
        let judged = match self.within(self.judged()).await {
            Ok(judged) => judged,
            Err(why) => return vec![why],
        };
        let effects = [
            (
                "filter",
                &judged.filter,
                "whom it does not find is postponed: 451",
            ),
            (
                "user_filter",
                &judged.user_filter,
                "some may not be able to sign in",
            ),
        ];
        let unread = judged.unread.then(|| {
            format!("ldap.{name}: the directory does not show its schema, so nobody checks what the filters compare")
        });
        let faults = effects.into_iter().flat_map(|(key, faults, effect)| {
            let line = move |why: &String| format!("ldap.{name}.{key}: {why} ({effect})");
            faults.iter().map(line)
        });
        faults.chain(unread).collect()
    }

    async fn find_user(&self, name: &str) -> Result<Option<DirectoryUser>, Trouble> {
        if name.is_empty() {
            return Ok(None);
        }
        let naming: Vec<&str> = self.naming().collect();
        let wanted = if naming.is_empty() {
            &NO_ATTRIBUTES[..]
        } else {
            &naming
        };
        let mut found = self.search(&self.user_filter.with(name), wanted).await?;
        if found.entries.len() > 1 {
            tracing::warn!(directory = %self.settings.name, user = name, "this name stands for several entries: nobody signs in by it");
            return Ok(None);
        }
        // There may be another one with this name.
        if !found.whole {
            return Err(incomplete());
        }
        // An entry without a name would be bound to as nobody, with any password.
        let entry = found.entries.pop().filter(|entry| !entry.dn.is_empty());
        Ok(entry.map(|entry| self.user(entry)))
    }

    /// The attributes that hold names of people: the one that names a user first.
    fn naming(&self) -> impl Iterator<Item = &str> {
        let first = Some(self.settings.user_name.as_str()).filter(|name| *name != DN);
        let others = self.user_filter.naming();
        first
            .into_iter()
            .chain(others.filter(move |name| Some(*name) != first))
    }

    fn user(&self, entry: Entry) -> DirectoryUser {
        let of = |value: &str| {
            let typed = self.user_filter.typed(value);
            typed
                .filter_map(|name| prepare_name(&name))
                .collect::<Vec<_>>()
        };
        let dn = prepare_name(&entry.dn).unwrap_or_else(|| entry.dn.to_lowercase());
        // Whatever the directory calls an attribute by which it was asked: all of its values are
        // names.
        let values = entry.attributes.iter().flat_map(|(_, values)| values);
        let values = values.flat_map(|value| of(value));
        let names: BTreeSet<String> = values.chain([dn.clone()]).collect();
        let first = |attribute: &str| {
            // Of several values the same one each time, whatever their order.
            entry
                .values(attribute)
                .filter_map(|value| of(value).into_iter().min_by_key(String::len))
                .min()
        };
        let chosen = match self.settings.user_name.as_str() {
            DN => None,
            _ => self.naming().find_map(first),
        };
        let shown = self.naming().next().is_none() || !entry.attributes.is_empty();
        DirectoryUser {
            name: chosen.unwrap_or(dn).into(),
            names: shown.then(|| names.into_iter().collect()),
            dn: entry.dn,
        }
    }

    /// One question, within its time and its share of the connections.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, String> {
        let admitted = async {
            let _permit = self.permits.acquire().await;
            work.await
        };
        match timeout(self.settings.timeout, admitted).await {
            Ok(result) => result.map_err(|why| format!("ldap.{}: {why}", self.settings.name)),
            Err(_) => Err(format!("ldap.{}: no answer in time", self.settings.name)),
        }
    }

    /// What the schema says about the filters, as it was read last.
    async fn judged(&self) -> Result<Arc<Judged>, Trouble> {
        let mut judged = self.judged.lock().await;
        if let Some((read, judged)) = &*judged
            && read.elapsed() < SCHEMA_TTL
        {
            return Ok(Arc::clone(judged));
        }
        let schema = match self.schema().await {
            Ok(schema) => schema,
            Err(Trouble::Code(code)) if NOT_SHOWN.contains(&code) => Schema::default(),
            Err(other) => return Err(other),
        };
        let new = Arc::new(self.judge(&schema));
        *judged = Some((Instant::now(), Arc::clone(&new)));
        Ok(new)
    }

    fn judge(&self, schema: &Schema) -> Judged {
        if schema.is_empty() {
            return Judged {
                unread: true,
                ..Judged::default()
            };
        }
        let written = &self.settings.filters_written;
        Judged {
            filter: faults(schema, &self.filter, written.filter),
            user_filter: faults(schema, &self.user_filter, written.user_filter),
            unread: false,
        }
    }

    /// RFC 4512 section 4.4: the root names the entry with the schema.
    async fn schema(&self) -> Result<Schema, Trouble> {
        let of_entry = |base, filter, attributes| Query {
            base,
            scope: Scope::Base,
            filter,
            attributes,
        };
        let root = of_entry("", "(objectClass=*)", &["subschemaSubentry"]);
        let root = self.ask(&root).await?.entries;
        let at = root
            .iter()
            .flat_map(|entry| entry.values("subschemaSubentry"));
        let Some(at) = at.into_iter().next() else {
            return Ok(Schema::default());
        };
        let types = of_entry(at, "(objectClass=subschema)", &["attributeTypes"]);
        let types = self.ask(&types).await?.entries;
        let types = types
            .iter()
            .flat_map(|entry| entry.values("attributeTypes"));
        Ok(Schema::parse(types))
    }

    /// The entries that match.
    async fn search(&self, filter: &str, attributes: &[&str]) -> Result<Found, Trouble> {
        let query = Query {
            base: &self.settings.base,
            scope: Scope::Subtree,
            filter,
            attributes,
        };
        self.ask(&query).await
    }

    /// A kept connection may have been closed by the server: then once more on a new one.
    async fn ask(&self, query: &Query<'_>) -> Result<Found, Trouble> {
        if let Some(mut kept) = self.kept.take(&())
            && !kept.is_closed()
            && let Ok(found) = ask_on(&mut kept, query).await
        {
            self.kept.keep((), kept);
            return Ok(found);
        }
        let mut fresh = self.bound().await?;
        let found = ask_on(&mut fresh, query).await?;
        self.kept.keep((), fresh);
        Ok(found)
    }

    /// A new connection, bound as the service.
    async fn bound(&self) -> Result<Ldap, Trouble> {
        let mut connection = self.connect().await?;
        if let Some(dn) = &self.settings.bind {
            let bound = connection.simple_bind(dn, &self.password).await;
            bound.and_then(ldap3::LdapResult::success)?;
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<Ldap, Trouble> {
        let stream = dial::dial(&self.resolver, &self.host, self.port).await?;
        let stream = stream.into_std().map_err(|error| plain(&error))?;
        let settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_starttls(self.settings.start_tls)
            .set_config(Arc::clone(&self.tls));
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &self.settings.url).await?;
        // Ends when the connection does, or its last user.
        tokio::spawn(connection.drive());
        Ok(ldap)
    }
}

/// References to other servers come beside the entries, and say nothing against them (RFC 4511
/// section 4.5.3).
async fn ask_on(connection: &mut Ldap, query: &Query<'_>) -> Result<Found, Trouble> {
    let options = SearchOptions::new().sizelimit(ENTRIES_MAX);
    let result = connection
        .with_search_options(options)
        .search(query.base, query.scope, query.filter, query.attributes)
        .await?;
    let (entries, code) = (result.0, result.1.rc);
    let whole = code == 0;
    if !whole && !INCOMPLETE.contains(&code) {
        return Err(Trouble::Code(code));
    }
    Ok(Found {
        entries: entries.into_iter().filter_map(Entry::parse).collect(),
        whole,
    })
}

/// What the schema says against a filter. The default one is for directories of two kinds, neither
/// of which has the attributes of the other: there what is unknown is nobody's, as long as
/// something else is known.
fn faults(schema: &Schema, filter: &Filter, written: bool) -> Vec<String> {
    let mut faults = schema.faults(filter);
    let is_unknown = |fault: &Fault| matches!(fault, Fault::Unknown(_));
    let unknown = faults.iter().filter(|fault| is_unknown(fault)).count();
    if !written && unknown < filter.assertions.len() {
        faults.retain(|fault| !is_unknown(fault));
    }
    faults.iter().map(ToString::to_string).collect()
}

fn incomplete() -> Trouble {
    Trouble::Other("the directory's answer was cut short by a limit".to_owned())
}

fn host_and_port(url: &str) -> Result<(String, u16), String> {
    let uri: hyper::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let default_port = match uri.scheme_str() {
        Some("ldap") => 389,
        Some("ldaps") => 636,
        Some(_) | None => return Err(format!("{url} is neither ldap:// nor ldaps://")),
    };
    let host = uri.host().ok_or_else(|| format!("{url} has no host"))?;
    Ok((host.to_owned(), uri.port_u16().unwrap_or(default_port)))
}

/// Without what a server of any kind wrote about it.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(REFERRAL) => f.write_str(
                "the directory says that `base` is kept by another server, and is not followed there: name that server in `url`",
            ),
            Self::Code(NO_SUCH_OBJECT) => f.write_str("the directory has no entry `base`"),
            Self::Code(code) => write!(f, "the directory answered code {code}"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl From<LdapError> for Trouble {
    fn from(error: LdapError) -> Self {
        match error {
            LdapError::LdapResult { result } => Self::Code(result.rc),
            LdapError::Io { source } => Self::Other(plain(&source)),
            other => Self::Other(mail::escaped(&other.to_string()).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let cases = [
            ("ldap://dc.example.com", Some(("dc.example.com", 389))),
            ("ldaps://dc.example.com", Some(("dc.example.com", 636))),
            ("ldap://127.0.0.1:3389", Some(("127.0.0.1", 3389))),
            ("http://dc.example.com", None),
            ("dc.example.com", None),
        ];
        for (url, expected) in cases {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(url).ok(), expected, "{url}");
        }
    }
}
