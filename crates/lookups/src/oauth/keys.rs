//! The keys of an issuer of tokens (JWKS, RFC 7517).

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use config::{KeySource, read_file};

use crate::https::{Cost, Https};
use crate::resolver::Resolver;

/// No set of keys is larger.
const KEYS_OCTETS_MAX: u64 = 1 << 20;

/// For how long keys are kept.
const KEYS_TTL: Duration = Duration::from_secs(3600);
/// How often they are asked for again at most, because a token names a key that is not among them,
/// or because they could not be had.
const REFRESH_MIN: Duration = Duration::from_secs(60);
/// What fetching them may cost.
const COST: Cost = Cost {
    timeout: Duration::from_secs(10),
    body_bytes_max: 256 << 10,
};

/// Where the keys of one issuer come from.
pub struct Keys {
    source: KeySource,
    https: Https,
    /// One fetch at a time, and none for a while after it.
    pub(super) fetches: moka::future::Cache<(), Result<(), Box<str>>>,
    /// The keys that were had last.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    json: Arc<str>,
    ids: Arc<[String]>,
    fetched: Instant,
}

impl Keys {
    /// Keys from `source`; asks nobody yet.
    ///
    /// # Errors
    /// What cannot be set up.
    pub fn new(source: &KeySource, resolver: Arc<Resolver>) -> Result<Self, String> {
        Ok(Self::by(source, Https::new(resolver, None)?))
    }

    pub(crate) fn by(source: &KeySource, https: Https) -> Self {
        Self {
            source: source.clone(),
            https,
            fetches: moka::future::Cache::builder()
                .max_capacity(1)
                .time_to_live(REFRESH_MIN)
                .build(),
            kept: Mutex::new(None),
        }
    }

    /// The keys as JSON text. A token that names a key (`kid`) which is not among them makes them
    /// be asked for again, once a minute at most; keys that cannot be had anew are used on.
    ///
    /// # Errors
    /// There are none, and why; temporary.
    pub async fn json(&self, kid: Option<&str>) -> Result<Arc<str>, Box<str>> {
        if let Some(kept) = self.kept()
            && kept.fetched.elapsed() < KEYS_TTL
            && kid.is_none_or(|kid| kept.ids.iter().any(|id| id == kid))
        {
            return Ok(kept.json);
        }
        let fetched = self.fetches.get_with((), self.refresh()).await;
        match (self.kept(), fetched) {
            (Some(kept), _) => Ok(kept.json),
            (None, Err(why)) => Err(why),
            (None, Ok(())) => Err("the keys are gone".into()),
        }
    }

    async fn refresh(&self) -> Result<(), Box<str>> {
        match self.read().await {
            Ok(kept) => {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                Ok(())
            }
            Err(why) => {
                tracing::warn!(why, "the keys of the issuer of tokens cannot be had");
                Err(why.into())
            }
        }
    }

    async fn read(&self) -> Result<Kept, String> {
        let octets = match &self.source {
            KeySource::File(path) => read(path).await?,
            KeySource::Url(url) => {
                let answer = self.https.get(url, COST).await?;
                if answer.status != 200 {
                    return Err(format!("{url} answered {}", answer.status));
                }
                answer.body.to_vec()
            }
        };
        let json = String::from_utf8(octets).map_err(|_| "the keys are no text".to_owned())?;
        // Some editors put a byte-order mark before a file; JSON has none (RFC 8259 section 8.1).
        let json = json.strip_prefix('\u{feff}').unwrap_or(&json);
        Ok(Kept {
            ids: ids(json)?.into(),
            json: json.into(),
            fetched: Instant::now(),
        })
    }

    fn kept(&self) -> Option<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_file(&owned, KEYS_OCTETS_MAX)).await;
    let read = read.map_err(|fault| fault.to_string())?;
    read.map_err(|error| format!("{}: {error}", path.display()))
}

/// The names of the keys in a set.
fn ids(json: &str) -> Result<Vec<String>, String> {
    let set: serde_json::Value =
        serde_json::from_str(json).map_err(|_| "the keys are no JSON".to_owned())?;
    let keys = set.get("keys").and_then(|keys| keys.as_array());
    let keys = keys.ok_or("the keys are no key set (RFC 7517)")?;
    let id = |key: &serde_json::Value| Some(key.get("kid")?.as_str()?.to_owned());
    Ok(keys.iter().filter_map(id).collect())
}
