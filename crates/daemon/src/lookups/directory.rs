//! Recipients and passwords from a directory (LDAP, RFC 4511).
//!
//! What a stranger wrote goes into a filter only escaped (RFC 4515). Referrals are not followed: they would take the service's password to whatever
//! server an answer names. A password is tried on a connection of its own, so the kept ones stay bound as the service.

use std::sync::Arc;
use std::time::Duration;

use config::Directory as Settings;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchOptions, StdStream};
use mail::Mailbox;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::kept::Kept;
use super::{dial, secret};
use crate::resolver::Resolver;
use crate::tls::client_config_for_https;

/// Connections at one time to one directory, those that try passwords included.
const CONNECTIONS_MAX: usize = 8;
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);
/// Entries asked for: one is the answer, a second shows that the filter is not exact.
const ENTRIES_MAX: i32 = 2;

/// Result codes of RFC 4511 section 4.1.9 that are an answer rather than trouble.
const SIZE_LIMIT_EXCEEDED: u32 = 4;
/// Codes that say no to a bind: constraintViolation, inappropriateAuthentication, invalidCredentials, unwillingToPerform.
const REFUSED: [u32; 4] = [19, 48, 49, 53];

/// A directory.
pub(crate) struct Directory {
    settings: Settings,
    password: String,
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
    resolver: Arc<Resolver>,
    kept: Kept<(), Ldap>,
    permits: Semaphore,
}

/// Somebody who is in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryUser {
    /// The name given, in lower case: a directory takes any case for the same person.
    pub name: Arc<str>,
    /// The distinguished name of the entry.
    pub dn: String,
}

impl Directory {
    /// A directory that is asked as `settings` says. Reads its secret and its authorities now, connects when somebody asks.
    ///
    /// # Errors
    /// What cannot be read or makes no sense.
    pub(crate) fn new(settings: &Settings, resolver: Arc<Resolver>) -> Result<Self, String> {
        let trouble = |why: String| format!("ldap.{}: {why}", settings.name);
        let (host, port) = host_and_port(&settings.url).map_err(trouble)?;
        for filter in [&settings.filter, &settings.user_filter] {
            ldap3::parse_filter(filter.replace("%s", "x"))
                .map_err(|()| trouble(format!("{filter} is no LDAP filter")))?;
        }
        let password = settings.secret.as_ref().map(secret::read).transpose();
        let tls = client_config_for_https(settings.ca.as_deref()).map_err(trouble)?;
        Ok(Self {
            settings: settings.clone(),
            password: password.map_err(trouble)?.unwrap_or_default(),
            host,
            port,
            tls: Arc::new(tls),
            resolver,
            kept: Kept::new(CONNECTIONS_MAX, IDLE),
            permits: Semaphore::new(CONNECTIONS_MAX),
        })
    }

    /// Whether the directory has this recipient.
    ///
    /// # Errors
    /// It could not be asked; why.
    pub(crate) async fn has_recipient(&self, recipient: &Mailbox) -> Result<bool, String> {
        let filter = filled(&self.settings.filter, recipient.as_str());
        let entries = self.within(self.search(&filter)).await?;
        Ok(!entries.is_empty())
    }

    /// Who this name is; `None`: nobody, or it is not clear who.
    ///
    /// # Errors
    /// The directory could not be asked; why.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<DirectoryUser>, String> {
        self.within(self.find_user(name)).await
    }

    /// Who this name is, if the password is right.
    ///
    /// # Errors
    /// The directory could not be asked; why.
    pub(crate) async fn verify(
        &self,
        name: &str,
        password: &str,
    ) -> Result<Option<DirectoryUser>, String> {
        // RFC 4513 section 5.1.2: a bind with a name and no password is "unauthenticated" and succeeds: clients must not send one by mistake.
        if password.is_empty() {
            return Ok(None);
        }
        let work = async {
            let Some(user) = self.find_user(name).await? else {
                return Ok(None);
            };
            let mut connection = self.connect().await?;
            let bound = connection.simple_bind(&user.dn, password).await;
            let result = bound.map_err(|error| plain(&error))?;
            // Whether the connection ends well changes nothing.
            let _goodbye = connection.unbind().await;
            match result.rc {
                0 => Ok(Some(user)),
                code if REFUSED.contains(&code) => Ok(None),
                code => Err(format!("the bind of a user ended with code {code}")),
            }
        };
        self.within(work).await
    }

    async fn find_user(&self, name: &str) -> Result<Option<DirectoryUser>, String> {
        if name.is_empty() {
            return Ok(None);
        }
        let mut found = self
            .search(&filled(&self.settings.user_filter, name))
            .await?;
        if found.len() > 1 {
            tracing::warn!(directory = %self.settings.name, name, "this name stands for several entries: nobody signs in by it");
            return Ok(None);
        }
        // An entry without a name would be bound to as nobody, with any password.
        let dn = found.pop().filter(|dn| !dn.is_empty());
        Ok(dn.map(|dn| DirectoryUser {
            name: name.to_lowercase().into(),
            dn,
        }))
    }

    /// One question, within its time and its share of the connections.
    async fn within<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let admitted = async {
            let _permit = self.permits.acquire().await;
            work.await
        };
        match timeout(self.settings.timeout, admitted).await {
            Ok(result) => result.map_err(|why| format!("ldap.{}: {why}", self.settings.name)),
            Err(_) => Err(format!("ldap.{}: no answer in time", self.settings.name)),
        }
    }

    /// The names of the entries that match. A kept connection may have been closed by the server: then once more on a new one.
    async fn search(&self, filter: &str) -> Result<Vec<String>, String> {
        if let Some(mut kept) = self.kept.take(&())
            && !kept.is_closed()
            && let Ok(found) = self.search_on(&mut kept, filter).await
        {
            self.kept.keep((), kept);
            return Ok(found);
        }
        let mut fresh = self.bound().await?;
        let found = self.search_on(&mut fresh, filter).await;
        if found.is_ok() {
            self.kept.keep((), fresh);
        }
        found.map_err(|error| plain(&error))
    }

    async fn search_on(
        &self,
        connection: &mut Ldap,
        filter: &str,
    ) -> Result<Vec<String>, LdapError> {
        let options = SearchOptions::new().sizelimit(ENTRIES_MAX);
        // RFC 4511 section 4.5.1.8: "1.1" asks for no attributes.
        let result = connection
            .with_search_options(options)
            .search(&self.settings.base, Scope::Subtree, filter, vec!["1.1"])
            .await?;
        if ![0, SIZE_LIMIT_EXCEEDED].contains(&result.1.rc) {
            return Err(result.1.into());
        }
        Ok(result.0.into_iter().filter_map(entry_name).collect())
    }

    /// A new connection, bound as the service.
    async fn bound(&self) -> Result<Ldap, String> {
        let mut connection = self.connect().await?;
        if let Some(dn) = &self.settings.bind {
            let bound = connection.simple_bind(dn, &self.password).await;
            bound
                .and_then(ldap3::LdapResult::success)
                .map_err(|error| plain(&error))?;
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<Ldap, String> {
        let stream = dial::dial(&self.resolver, &self.host, self.port).await?;
        let stream = stream.into_std().map_err(|error| dial::plain(&error))?;
        let settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_starttls(self.settings.start_tls)
            .set_config(Arc::clone(&self.tls));
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &self.settings.url)
            .await
            .map_err(|error| plain(&error))?;
        // Ends when the connection does, or its last user.
        tokio::spawn(connection.drive());
        Ok(ldap)
    }
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

fn filled(filter: &str, value: &str) -> String {
    filter.replace("%s", &ldap3::ldap_escape(value))
}

/// The distinguished name of an entry (RFC 4511 section 4.5.2); the library's own reader panics on what is none.
fn entry_name(entry: ldap3::ResultEntry) -> Option<String> {
    let parts = entry.0.match_id(4)?.expect_constructed()?;
    let name = parts.into_iter().next()?.expect_primitive()?;
    String::from_utf8(name).ok()
}

/// What went wrong, without what a server of any kind wrote about it.
fn plain(error: &LdapError) -> String {
    match error {
        LdapError::LdapResult { result } => format!("the directory answered code {}", result.rc),
        LdapError::Io { source } => dial::plain(source),
        other => mail::escaped(&other.to_string()).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_writes_cannot_leave_the_filter() {
        let cases = [
            ("ann@example.com", "(mail=ann@example.com)"),
            ("*", "(mail=\\2a)"),
            ("a)(uid=*", "(mail=a\\29\\28uid=\\2a)"),
            ("a\\b\0%s", "(mail=a\\5cb\\00%s)"),
        ];
        for (value, expected) in cases {
            let filter = filled("(mail=%s)", value);
            assert_eq!(filter, expected);
            assert!(ldap3::parse_filter(&filter).is_ok(), "{filter}");
        }
    }

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
