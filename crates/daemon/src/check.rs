//! `gatepost config check`: whether a start would find all that it reads, and be able to use it.

use config::Config;

use crate::active::ActiveConfiguration;
use crate::{privileges, storage};

/// Reads what `config` names, as a start does: certificates, keys, secrets, users; and asks
/// directories for their schema. Started as root it becomes the relay's account first, which is who
/// has to be able to read all that; and looks whether this program knows the spool's version. Nothing
/// is written, and no port is opened.
///
/// Must be called before any thread is started. Gives what an administrator should know and does
/// not stop a start, a line each.
///
/// # Errors
/// Everything that would keep a start from succeeding, a line each.
pub fn check(config: Config) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    let group = Some(&*config.group.name);
    if let Err(why) = privileges::drop_to(&config.user.name, group, &[]) {
        warnings.push(format!("a start as root would fail: {why}"));
    }
    storage::look_at_spool(&config)?;
    warnings.extend(syslog_warnings(&config));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| format!("nobody can be asked: {error}"))?;
    runtime.block_on(async {
        let (active, certificates) = ActiveConfiguration::look(config)?;
        let certificates = certificates
            .into_iter()
            .map(|(listener, warning)| format!("listener {listener}: {warning}"));
        warnings.extend(certificates);
        warnings.extend(active.console_warning());
        warnings.extend(active.directory_warnings().await);
        warnings.extend(active.acme_warnings().await);
        Ok(warnings)
    })
}

/// What keeps logs from servers, which keeps nothing from starting.
fn syslog_warnings(config: &Config) -> Vec<String> {
    let servers = config.log.syslogs.values();
    servers
        .filter_map(|syslog| {
            let (ca, certificate) = (syslog.ca.as_deref(), syslog.certificate.as_ref());
            let why = tls::client_config(ca, certificate).err()?;
            Some(format!("[syslog.{}]: {why}", syslog.name))
        })
        .collect()
}
