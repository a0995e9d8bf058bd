//! Who asks, and for what.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use daemon::ControlApi;
use tokio::sync::Semaphore;

use crate::api::Api;
use crate::examination::LastExamination;
use crate::sessions::{Role, Sessions, Visitor};
use crate::settings::{Lifetimes, Settings};
use crate::trials::Trials;
use crate::trouble::Trouble;

/// Live pages at one time, of all visitors; further ones are still, and say so.
const STREAMS_MAX: usize = 64;

/// Live pages that are made anew at one time.
const TURNS_MAX: usize = 2;

/// For whom the API is called before anybody is signed in.
const NOBODY: &str = "nobody";

/// What all requests share, at whichever address.
pub(crate) struct Common {
    pub(crate) api: Api,
    pub(crate) sessions: Sessions,
    pub(crate) streams: Arc<Semaphore>,
    /// To make a live page anew.
    pub(crate) turns: Semaphore,
    pub(crate) trials: Trials,
    pub(crate) examination: LastExamination,
}

impl Common {
    pub(crate) fn new(api: ControlApi, lifetimes: Lifetimes) -> Self {
        Self {
            api: Api::new(api, NOBODY),
            sessions: Sessions::new(lifetimes),
            trials: Trials::default(),
            examination: LastExamination::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            turns: Semaphore::new(TURNS_MAX),
        }
    }
}

/// What all requests at one address share.
pub(crate) struct Shared {
    common: Arc<Common>,
    pub(crate) settings: Settings,
}

impl Deref for Shared {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Shared {
    pub(crate) fn new(common: Arc<Common>, settings: Settings) -> Self {
        Self { common, settings }
    }

    /// The name of the cookie that says who somebody is. Under TLS no other host of the domain can
    /// set one of this name; without TLS browsers would not take it.
    pub(crate) fn cookie_name(&self) -> &'static str {
        match self.settings.is_encrypted {
            true => "__Host-gatepost",
            false => "gatepost",
        }
    }
}

/// How pages look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    /// As the system of the visitor has it.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn parse(word: &str) -> Self {
        let found = Self::ALL.into_iter().find(|theme| theme.as_str() == word);
        found.unwrap_or_default()
    }
}

/// What is needed to answer for a page.
#[derive(Clone)]
pub(crate) struct Cx {
    pub(crate) shared: Arc<Shared>,
    /// The API, called for the visitor.
    pub(crate) api: Api,
    pub(crate) visitor: Visitor,
    /// The cookie of the session.
    pub(crate) cookie: String,
    pub(crate) theme: Theme,
    /// The path that was asked for.
    pub(crate) path: String,
    /// Path and query.
    pub(crate) address: String,
    /// What stands in the places of the path that are open.
    pub(crate) places: BTreeMap<String, String>,
    pub(crate) query: Fields,
    pub(crate) wants_stream: bool,
}

impl Cx {
    /// What stands in an open place of the path, as `{id}`.
    pub(crate) fn place(&self, name: &str) -> &str {
        self.places.get(name).map_or("", String::as_str)
    }

    /// Whether the visitor may do what this role may.
    pub(crate) fn may(&self, role: Role) -> bool {
        self.visitor.role >= role
    }

    /// # Errors
    /// The visitor may not do what this role may.
    pub(crate) fn require(&self, role: Role) -> Result<(), Trouble> {
        if self.may(role) {
            return Ok(());
        }
        let (has, needs) = (self.visitor.role.as_str(), role.as_str());
        Err(Trouble::new(
            axum::http::StatusCode::FORBIDDEN,
            format!(
                "You are signed in as {} with the role {has}; this takes the role {needs}. An administrator can give it: gatepost user role {} {needs}",
                self.visitor.name, self.visitor.name
            ),
        ))
    }

    /// This page with another value in its query; an empty one is left out.
    pub(crate) fn with(&self, name: &str, value: &str) -> String {
        let mut fields: Vec<_> = (self.query.0.iter())
            .filter(|(own, value)| own != name && !value.is_empty())
            .map(|(own, value)| (own.as_str(), value.as_str()))
            .collect();
        if !value.is_empty() {
            fields.push((name, value));
        }
        address(&self.path, &fields)
    }
}

/// A path with a query.
pub(crate) fn address(path: &str, fields: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    for (at, (name, value)) in fields.iter().enumerate() {
        text.push(if at == 0 { '?' } else { '&' });
        text.push_str(&crate::words::encoded(name));
        text.push('=');
        text.push_str(&crate::words::encoded(value));
    }
    text
}

/// Names and values, of a query or a form.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The value of a field without space around it, empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.field(name).unwrap_or_default()
    }

    /// The same, if there is that field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.trim())
    }

    /// The value as it came.
    pub(crate) fn raw(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        !self.get(name).is_empty()
    }
}

impl FromRequestParts<Arc<Shared>> for Cx {
    type Rejection = Trouble;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let places = RawPathParams::from_request_parts(parts, shared).await;
        let places = places.map_err(|why| Trouble::asked_wrongly(why.to_string()))?;
        let places = places.iter();
        let places = places.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let query = query.map_err(|why| Trouble::asked_wrongly(why.to_string()))?;
        // The guard lets nobody through without one.
        let visitor = parts.extensions.get::<Visitor>().cloned();
        let visitor = visitor.ok_or_else(|| Trouble::ours("nobody is signed in"))?;
        let accept = parts.headers.get(header::ACCEPT);
        Ok(Self {
            api: shared.api.on_behalf_of(&visitor.name),
            cookie: cookie(&parts.headers, shared.cookie_name()).unwrap_or_default(),
            theme: Theme::parse(&cookie(&parts.headers, "theme").unwrap_or_default()),
            path: parts.uri.path().to_owned(),
            address: parts.uri.to_string(),
            places: places.collect(),
            query: Fields(query.0),
            wants_stream: accept.is_some_and(|value| value.as_bytes() == b"text/event-stream"),
            shared: Arc::clone(shared),
            visitor,
        })
    }
}

/// The value of a cookie.
pub(crate) fn cookie(fields: &HeaderMap, name: &str) -> Option<String> {
    let lines = fields.get_all(header::COOKIE).iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';'));
    cookies.find_map(|cookie| {
        let (own, value) = cookie.trim().split_once('=')?;
        (own == name).then(|| value.to_owned())
    })
}
