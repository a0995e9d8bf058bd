//! Certificates by ACME: one task orders and renews them, one name after the other, and tells how that
//! goes. `tls::Renewal` decides when, `lookups::AcmeClient` talks to the authority. A certificate that
//! was got is in force for the next handshake, without a reload. While none can be got, the old one
//! is shown.

mod hook;
mod prover;

use std::sync::Arc;
use std::time::Duration;

use config::{Acme, AcmeName};
use lookups::{AcmeAccount, AcmeFault, AcmeWanted};
use tls::{Due, ServerCertificate, certificate_is_good};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use self::prover::Prover;
use crate::active::ActiveConfiguration;
use crate::certificates::{complaint, files, life};
use crate::clock;
use crate::services::Services;

/// However late the next thing is due: the system's clock may be set.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);
/// However soon.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Runs as long as the relay.
pub(crate) async fn keep(services: Arc<Services>) {
    let mut configured = services.active.subscribe();
    loop {
        let active = Arc::clone(&configured.borrow_and_update());
        let acme = active.setup.config.tls.acme.clone();
        services
            .certificates
            .follow(acme.as_ref(), &active.obtained);
        let now = clock::now();
        let until = match (services.certificates.next(now), acme) {
            (Some((_, Due::Wait(until))), _) => until,
            (Some((name, due)), Some(acme)) => {
                let work = Work {
                    services: &services,
                    active: &active,
                    acme: &acme,
                    name: &name,
                };
                match due {
                    Due::Ask => work.ask().await,
                    Due::Order | Due::Wait(_) => work.order().await,
                }
                continue;
            }
            _ => now + PAUSE_MAX,
        };
        let pause = until.since(now).clamp(PAUSE_MIN, PAUSE_MAX);
        tokio::select! {
            () = sleep(pause) => {}
            () = services.certificates.wanted() => {}
            changed = configured.changed() => if changed.is_err() {
                return;
            }
        }
    }
}

/// One name of one configuration.
struct Work<'a> {
    services: &'a Services,
    active: &'a ActiveConfiguration,
    acme: &'a Arc<Acme>,
    name: &'a AcmeName,
}

impl Work<'_> {
    /// Asks the authority when it would renew this one.
    async fn ask(&self) {
        let advice = match (self.account().await, self.active.obtained.find(self.name)) {
            (Ok(account), Some(held)) => account.window(held.own()).await,
            (Ok(_), None) => None,
            (Err(fault), _) => {
                tracing::debug!(name = %self.name.name, %fault, "nobody says when to renew");
                None
            }
        };
        let certificates = &self.services.certificates;
        certificates.advised(self.name, advice, clock::now());
    }

    /// Orders a certificate and puts it in force, or notes why there is none.
    async fn order(&self) {
        let (name, certificates) = (&self.name.name, &self.services.certificates);
        let directory = &self.acme.directory;
        tracing::info!(%name, directory, "a certificate is ordered by ACME");
        let obtained = self.obtain().await;
        let metrics = &self.services.journal.metrics;
        metrics.certificate_ordered(obtained.is_ok());
        match obtained {
            Ok(held) => {
                let complaint = complaint(self.acme, life(&held));
                if let Some(complaint) = &complaint {
                    tracing::warn!(%name, complaint, "a certificate is not as it should be");
                }
                certificates.obtained(self.name, &held, complaint, clock::now());
                tracing::info!(%name, ends = %held.ends, "a certificate was got by ACME");
            }
            Err(fault) => {
                certificates.failed(self.name, &fault, clock::now());
                tracing::error!(%name, %fault, "no certificate was got by ACME");
            }
        }
    }

    async fn obtain(&self) -> Result<Arc<ServerCertificate>, AcmeFault> {
        // A disk that takes nothing is known before the authority is asked: it counts what it gives.
        let key = Arc::new(self.on_disk(files::prepare).await?);
        let is_advised = self.services.certificates.is_advised(self.name);
        let before = self.active.obtained.find(self.name);
        let replaces = before.as_ref().filter(|_| is_advised);
        let wanted = AcmeWanted {
            name: &self.name.name,
            key: &key,
            replaces: replaces.map(|before| before.own()),
        };
        let chain = match self.ordered(&wanted).await {
            Err(fault) if fault.is_account_gone => {
                tracing::warn!(%fault, "the authority has forgotten our account: another is made");
                self.on_disk(|acme, _| files::forget_account(acme)).await?;
                self.ordered(&wanted).await
            }
            ordered => ordered,
        }?;
        certificate_is_good(&chain, &key, &self.name.name, clock::now())
            .map_err(AcmeFault::refused)?;
        self.on_disk(move |acme, name| files::keep(acme, name, &chain, &key))
            .await?;
        // By the configuration in force by now, which may have other names.
        let active = self.services.active();
        let read = move || {
            let config = &active.setup.config;
            active.obtained.read(config.tls.acme.as_deref());
        };
        let _read = spawn_blocking(read).await;
        let held = self.active.obtained.find(self.name);
        let is_new = |held: &Arc<_>| !before.is_some_and(|before| Arc::ptr_eq(&before, held));
        held.filter(is_new)
            .ok_or_else(|| AcmeFault::refused("it cannot be used, or is not configured any more"))
    }

    async fn ordered(&self, wanted: &AcmeWanted<'_>) -> Result<String, AcmeFault> {
        let prover = Prover::new(Arc::clone(self.acme), &self.services.certificates);
        self.account().await?.obtain(wanted, &prover).await
    }

    /// The account with the authority; the first time one is made and written down.
    async fn account(&self) -> Result<AcmeAccount, AcmeFault> {
        let client = self.active.acme_client();
        let client = client.ok_or_else(|| AcmeFault::refused("it is not configured any more"))?;
        let client = client.map_err(AcmeFault::refused)?;
        let kept = self.on_disk(|acme, _| files::account(acme)).await?;
        let (account, new) = client.account(kept.as_deref()).await?;
        if let Some(new) = new {
            self.on_disk(move |acme, _| files::keep_account(acme, &new))
                .await?;
        }
        Ok(account)
    }

    /// Reads or writes files where nobody waits for it.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Acme, &AcmeName) -> Result<T, String> + Send + 'static,
    ) -> Result<T, AcmeFault> {
        let (acme, name) = (Arc::clone(self.acme), self.name.clone());
        let done = spawn_blocking(move || work(&acme, &name)).await;
        let done = done.unwrap_or_else(|fault| Err(fault.to_string()));
        done.map_err(AcmeFault::refused)
    }
}
