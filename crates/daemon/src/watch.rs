//! Files beside the configuration that count as soon as they change: certificates and their keys,
//! keys that sign mail, users, recipients.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use config::{CertificateFiles, Config};

use crate::shared::Shared;

/// How often they are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// What changes when a file is written or replaced: inode, length, time of the last change; `None`:
/// there is none.
type Look = Option<(u64, u64, i64, i64)>;

/// What the files beside a configuration looked like when they were read last.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    fingerprint: u64,
    files: BTreeMap<PathBuf, Look>,
}

impl Seen {
    /// Looks at the files that `config` names.
    pub(crate) async fn of(config: &Config) -> Self {
        let files = files(config);
        let look = move || files.into_iter().map(look_at).collect();
        Self {
            fingerprint: config.fingerprint,
            files: tokio::task::spawn_blocking(look).await.unwrap_or_default(),
        }
    }

    /// Whether a file was written or replaced since; not when somebody reloaded, as the files are
    /// those of that reload then.
    pub(crate) fn is_outdated_by(&self, now: &Self) -> bool {
        self.fingerprint == now.fingerprint
            && self.files.keys().eq(now.files.keys())
            && self.files != now.files
    }
}

/// Reloads the configuration when one of these files is no longer as it was `seen`. The
/// configuration itself counts only when somebody asks for it, so that nobody's half-written line
/// does: while its text is another than the one in force, changed files wait for that reload too.
pub(crate) async fn watch(shared: Arc<Shared>, mut seen: Seen) {
    let mut interval = tokio::time::interval(INTERVAL);
    loop {
        interval.tick().await;
        let now = Seen::of(&shared.services.active().setup.config).await;
        if seen.is_outdated_by(&now) {
            reload(&shared).await;
        }
        seen = now;
    }
}

async fn reload(shared: &Arc<Shared>) {
    match shared.reload_if_unchanged().await {
        Ok(true) => {
            tracing::info!("files beside the configuration have changed and were read again")
        }
        Ok(false) => tracing::warn!(
            "files beside the configuration have changed, and so has the configuration itself: reload to use them"
        ),
        Err(error) => tracing::error!(
            error,
            "files beside the configuration have changed and cannot be used: everything goes on as before"
        ),
    }
}

fn look_at(path: PathBuf) -> (PathBuf, Look) {
    let about = std::fs::metadata(&path).ok();
    let look = about.map(|about| (about.ino(), about.len(), about.mtime(), about.mtime_nsec()));
    (path, look)
}

fn files(config: &Config) -> BTreeSet<PathBuf> {
    let listeners = config.listeners.iter().map(|listener| &listener.tls);
    let shown = listeners.clone().flat_map(|tls| &tls.certificates);
    let ours = config
        .deliveries
        .values()
        .filter_map(|delivery| delivery.certificate.as_ref());
    let pair = |files: &CertificateFiles| [files.chain.clone(), files.key.clone()];
    let authorities = listeners.filter_map(|tls| tls.client_ca.clone());
    let mut files: BTreeSet<PathBuf> = shown
        .chain(ours)
        .flat_map(pair)
        .chain(authorities)
        .collect();
    let signing = config.screening.dkim.iter().flat_map(|dkim| &dkim.keys);
    files.extend(signing.map(|key| key.file.clone()));
    files.extend(config.list_files.iter().cloned());
    files.insert(config.auth.users_file.clone());
    files
}
