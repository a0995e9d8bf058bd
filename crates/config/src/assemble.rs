//! Puts the settings together: defaults, what depends on something else, what contradicts itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Host, Mailbox, Zone};
use relay_policy::{DomainTable, NameMap, Rewriting};

use crate::config::{
    Account, Auth, Control, Limits, Listener, Log, LogTarget, OpenTelemetry, ProtocolLog,
    ProtocolLogTarget,
};
use crate::domains::Domains;
use crate::option::{Opt, section_of};
use crate::options::{
    auth as auth_options, control as control_options, dns, log, metrics, opentelemetry, outbound,
    queue, queue_ndr, spool, top,
};
use crate::parts::Sections;
use crate::settings::{Settings, positive};
use crate::shown::Written;
use crate::source::Span;
use crate::{
    Config, Environment, Files, after_queue, auth, console, deliveries, directories, domains,
    forward, greylist, limits, listeners, local, posture, presets, protocol_logs, relay, routes,
    scanners, screens, sections, send_as, send_only_to, sender_routes, srs, syslogs, tls, zone,
};

/// Makes the configuration; `None` only when something is so wrong that none can be made. Problems
/// go into `settings`.
pub(crate) fn assemble(
    settings: &mut Settings,
    files: &dyn Files,
    environment: &Environment,
) -> Option<Config> {
    let (fingerprint, hostname, data_dir) = prepare(settings, environment);
    let mut sections = sections(settings, &hostname);
    let mut domains = domains::domains(settings, files, &data_dir);
    queue_by_domain(settings, &mut domains, &mut sections.queue);
    let (auth, limits) = (auth::auth(settings, &data_dir), limits(&sections));
    let (rewriting, srs) = srs::read(settings).unzip();
    let shared = shared(settings, domains.table, rewriting, &auth, &hostname);
    let session = session(settings, sections.session, &auth, domains.first.as_ref());
    let listeners = listeners::listeners(settings, &session, &shared);
    let rules = Arc::new(shared.rules_without_listener(listeners::sign_in_at(&listeners)));
    let local = local::local(settings, &session, &shared);
    let posture = posture::check(settings, &listeners, &local);
    let (senders, zone) = (sender_routes::read(settings), zone::read(settings, files));
    logs(settings, &mut sections.log, &hostname, &zone, &listeners);
    let routes = routes::routes(
        settings,
        domains.vias,
        senders,
        &zone,
        (&hostname, environment),
        &listeners,
        shared.after_queue.as_ref(),
    )?;
    let (mut list_files, ours) = (domains.recipient_files, (&*listeners, &*rules));
    let screening = screens::read(settings, files, ours, (&hostname, &zone), &mut list_files);
    Some(Config {
        postmaster: session.postmaster.clone(),
        stop: sections.stop,
        user: account(settings, top::USER),
        group: account(settings, top::GROUP),
        rules,
        domains: domains.settings,
        routes: Arc::new(routes),
        outbound: sections.outbound,
        dns: sections.dns,
        console: console::read(settings, &shared.tls),
        tls: shared.tls,
        auth,
        srs,
        directories: directories::directories(settings),
        deliveries: deliveries::deliveries(settings, shared.after_queue.as_ref()),
        verify: sections.verify,
        limits,
        session,
        queue: sections.queue,
        notices: sections.notices,
        delivery: delivery::Settings::new(Host::Domain(hostname.clone())),
        posture: posture::with_scanners(posture, &screening.scanners),
        screening: Arc::new(screening),
        send_as: send_as::read(settings, &hostname, &listeners, &shared.domains),
        spool: sections.spool,
        local,
        log: sections.log,
        metrics: settings.values(metrics::BIND),
        opentelemetry: opentelemetry(settings),
        reports: sections.reports,
        tracking: sections.tracking,
        control: control(settings, &data_dir),
        list_files,
        fixed: Vec::new(), // Known when all values are.
        written: Written::default(),
        text: Arc::default(),
        named_files: BTreeMap::new(), // Known when all are read.
        fingerprint,
        relay_tests: Vec::new(), // Known when the rules are.
        hostname,
        data_dir,
        listeners,
    })
}

/// What comes before all that is read; gives the digest of the text, and what all the rest needs.
fn prepare(settings: &mut Settings, environment: &Environment) -> (u64, Domain, PathBuf) {
    warn_of_what_does_nothing(settings);
    presets::fill(settings);
    let fingerprint = settings.fingerprint();
    let hostname = hostname(settings, environment);
    (fingerprint, hostname, data_dir(settings))
}

/// What holds for more than one session.
fn limits(sections: &Sections) -> Limits {
    Limits {
        header_size: sections.session.limits.header_size,
        admission: Arc::new(sections.admission.clone()),
        guardian: sections.guardian.clone(),
        greylisting: Arc::new(sections.greylisting.clone()),
    }
}

/// What the rules of all listeners have in common.
fn shared(
    settings: &mut Settings,
    domains: DomainTable,
    rewriting: Option<Rewriting>,
    auth: &Auth,
    hostname: &Domain,
) -> relay::Shared {
    relay::Shared {
        after_queue: after_queue::read(settings),
        bound_clients: send_only_to::read(settings),
        forwards: Arc::new(forward::read(settings, &domains, rewriting.is_some())),
        domains: Arc::new(domains),
        rewriting: rewriting.map(Arc::new),
        senders: Arc::new(domains::senders(settings)),
        greylisting: greylist::read(settings).map(Arc::new),
        policies: scanners::policies(settings),
        relay: relay::global(settings),
        tls: tls::global(settings, hostname),
        sender_match: auth.sender_match,
        sender_match_place: settings.place_of(auth_options::SENDER_MATCH),
    }
}

/// What the sessions of all listeners have in common.
fn session(
    settings: &mut Settings,
    filled: reception::Settings,
    auth: &Auth,
    first_domain: Option<&Domain>,
) -> reception::Settings {
    let postmaster = settings.get(top::POSTMASTER);
    let postmaster = postmaster.or_else(|| first_domain.map(Mailbox::postmaster));
    screens::check_digest(settings, postmaster.as_ref());
    let mechanisms = auth.mechanisms.iter();
    reception::Settings {
        mechanisms: mechanisms.map(|name| name.as_str().into()).collect(),
        postmaster,
        ..filled
    }
}

/// One warning for a section: what is not in force must not look as if it were.
fn warn_of_what_does_nothing(settings: &mut Settings) {
    let mut sections: Vec<(String, Vec<&str>, Span)> = Vec::new();
    for (key, setting) in &settings.values {
        let facts = setting.definition.facts();
        if facts.in_force {
            continue;
        }
        let name = facts.name;
        let section = section_of(key, name).to_owned();
        match sections.iter_mut().find(|(known, ..)| *known == section) {
            Some((_, names, _)) => names.push(name),
            None => sections.push((section, vec![name], setting.key.clone())),
        }
    }
    for (section, names, span) in sections {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let message = format!(
            "{} in [{section}] {verb} not in force yet",
            names.join(", ")
        );
        settings.warn(
            &span,
            message,
            "read, checked, and not used by this version",
        );
    }
}

fn hostname(settings: &mut Settings, environment: &Environment) -> Domain {
    let written = settings
        .get(top::HOSTNAME)
        .or_else(|| environment.hostname.clone());
    written.unwrap_or_else(|| {
        let message =
            "`hostname` is not set and the system has no full name: calling ourselves localhost";
        let warning = crate::Diagnostic::new(crate::Severity::Warning, message);
        settings.push("", None, warning);
        Mailbox::parse("postmaster@localhost")
            .ok()
            .and_then(|mailbox| mailbox.host().domain().cloned())
            .unwrap_or_else(|| unreachable!("localhost is a domain"))
    })
}

fn account(settings: &Settings, option: &'static Opt<String>) -> Account {
    Account {
        name: settings.get(option),
        place: settings.place_of(option),
    }
}

/// What the table fills, with what depends on more than one option, checked.
fn sections(settings: &mut Settings, hostname: &Domain) -> Sections {
    let mut sections = sections::read(settings, hostname);
    let own = &mut sections;
    own.outbound.ca = settings.path(outbound::CA);
    own.dns.servers = settings.values(dns::SERVERS);
    own.queue.retry = retry(settings);
    own.queue.site_rates = settings.values(outbound::RATE);
    own.notices.copies.classes = settings.values(queue_ndr::COPIES);
    own.log.format = settings.get(log::FORMAT).unwrap_or_default();
    if let Some(path) = settings.get(log::FILE) {
        own.log.target = LogTarget::File(path);
    }
    limits::complete(settings, own);
    greylist::check(settings, &own.greylisting);
    check_queue(settings, &own.queue);
    check_spool(settings);
    for waits in [dns::TIMEOUT, outbound::TIMEOUT, outbound::SILENCE_TIMEOUT] {
        positive(settings, waits);
    }
    auth::check_verify(settings);
    sections
}

/// IIS's retry table.
const IIS_RETRY: [u64; 4] = [15, 30, 60, 240];

fn retry(settings: &Settings) -> Vec<Duration> {
    if settings.is_set(queue::PRESET) && !settings.is_set(queue::RETRY) {
        return IIS_RETRY
            .map(|minutes| Duration::from_secs(60 * minutes))
            .to_vec();
    }
    settings.values(queue::RETRY)
}

fn check_queue(settings: &mut Settings, queue_settings: &::queue::Settings) {
    for age in [queue::EXPIRE, queue::PROBE, queue::BADMAIL_AGE] {
        positive(settings, age);
    }
    if queue_settings.delay_notice == Some(Duration::ZERO) {
        let message = format!(
            "`{}` must be longer than nothing",
            queue::DELAY_NOTICE.facts.key()
        );
        settings.error_at(queue::DELAY_NOTICE, message, "");
    }
    let retry = &queue_settings.retry;
    if retry.is_empty() || retry.contains(&Duration::ZERO) {
        let message = "`retry` in [queue] needs pauses, each longer than nothing".into();
        settings.error_at(queue::RETRY, message, "write [\"1m\", \"5m\", \"15m\"]");
    }
    // Only when somebody wrote the notice: a short expiry alone simply means that no delay is told.
    let notice = queue_settings.delay_notice;
    if notice.is_some_and(|notice| notice >= queue_settings.expire) {
        let message = "no delay is ever told: the message bounces before".into();
        settings.warn_at(
            queue::DELAY_NOTICE,
            message,
            "not shorter than queue.expire",
        );
    }
}

/// What domains say for the queue manager.
fn queue_by_domain(settings: &mut Settings, domains: &mut Domains, queue: &mut ::queue::Settings) {
    queue.on_demand = Arc::new(std::mem::take(&mut domains.on_demand));
    if settings.get(queue_ndr::STRANGERS) {
        check_strangers(settings, &domains.known_recipients);
        queue.strangers_to_badmail = Arc::new(std::mem::take(&mut domains.known_recipients));
    }
}

/// What is held in place of a bounce must be kept, and is only where an unknown recipient is refused
/// at once.
fn check_strangers(settings: &mut Settings, known_recipients: &NameMap<bool>) {
    if !settings.get(queue::BADMAIL) {
        let message = "`strangers` is \"badmail\", which `queue.badmail` discards".into();
        settings.error_at(
            queue_ndr::STRANGERS,
            message,
            "write queue.badmail = \"keep\"",
        );
    }
    if !known_recipients.values().any(|known| *known) {
        let message = "no domain has `recipients`: strangers get bounces all the same".into();
        let label = "holds for domains with `recipients`";
        settings.warn_at(queue_ndr::STRANGERS, message, label);
    }
}

fn check_spool(settings: &mut Settings) {
    if settings.get(spool::KIND) {
        let message = "the shared spool is not there yet".into();
        settings.error_at(spool::KIND, message, "this version has \"local\" only");
    }
}

/// Octets that the log's file has at least; and for how many each log counts in the room of all.
const LOG_SIZE_MIN: u64 = 1_000_000;
/// So much above `spool.min_free`, where mail stops, the log's file stops.
const LEFT_TO_MAIL: u64 = 64_000_000;

/// Where logs go.
fn logs(
    settings: &mut Settings,
    own: &mut Log,
    hostname: &Domain,
    zone: &Zone,
    listeners: &[Listener],
) {
    own.syslogs = syslogs::read(settings, hostname, zone);
    let named = settings.get(log::SYSLOG);
    let goes_elsewhere = own.journald || !named.is_empty();
    own.syslog = syslogs::all_named(settings, &own.syslogs, named);
    if settings.get(log::FORMAT).is_none() {
        let message = "w3c is the format of a protocol log: text is written".into();
        settings.warn_at(log::FORMAT, message, "write a section [log.w3c] for it");
    }
    if own.max_size < LOG_SIZE_MIN {
        let message = "`max_size` in [log] is too small".to_owned();
        settings.error_at(log::MAX_SIZE, message, "at least 1MB");
    }
    let stdout = settings.get(log::STDOUT).unwrap_or(!own.journald);
    if own.target == LogTarget::Stdout && !stdout {
        own.target = LogTarget::Nowhere;
        if !goes_elsewhere {
            let label = "set log.file, log.syslog or log.journald, or leave this out";
            settings.error_at(log::STDOUT, "the log must go somewhere".into(), label);
        }
    }
    let data_dir = data_dir(settings);
    protocol_logs::read(settings, own, &data_dir, zone, listeners);
    let mail = settings.get(spool::MIN_FREE);
    let default = mail.saturating_add(mail.min(LEFT_TO_MAIL));
    own.min_free = settings.get(log::MIN_FREE).unwrap_or(default);
    share_room(settings, own);
}

/// What all logs have together is enough for each, and no log has so much in the file to which it
/// writes that giving up the others would be of no use.
fn share_room(settings: &mut Settings, own: &mut Log) {
    let Some(total) = own.total_size else { return };
    let in_files = |log: &&mut ProtocolLog| log.target == ProtocolLogTarget::Files;
    let mut protocol: Vec<_> = own.protocol.iter_mut().filter(in_files).collect();
    let is_file = matches!(own.target, LogTarget::File(_));
    let logs = (protocol.len() + usize::from(is_file)).max(1) as u64;
    if total / logs < LOG_SIZE_MIN {
        let message = "`total_size` in [log] is too small".to_owned();
        settings.error_at(log::TOTAL_SIZE, message, "at least 1MB for each log");
    }
    // Half of a log's room is one file of the log, and a quarter one of a protocol log.
    own.max_size = own.max_size.min(total / logs);
    for log in &mut protocol {
        let max_size = &mut log.settings.max_size;
        *max_size = (*max_size).min(2 * (total / logs)).min(total);
    }
}

/// `[opentelemetry]`; `None` where there is no such section, or where it is wrong.
fn opentelemetry(settings: &mut Settings) -> Option<OpenTelemetry> {
    let help = "write `endpoint`, or leave the section out";
    if !settings.is_begun(opentelemetry::SECTION, help) {
        return None;
    }
    let endpoint = settings.get(opentelemetry::ENDPOINT);
    let endpoint = settings.needed(opentelemetry::ENDPOINT, endpoint, help)?;
    Some(OpenTelemetry {
        endpoint: endpoint.into(),
        authorization: settings.secret(opentelemetry::AUTHORIZATION),
        ca: settings.path(opentelemetry::CA),
    })
}

/// `data_dir`
pub(crate) fn data_dir(settings: &Settings) -> PathBuf {
    settings.get(top::DATA_DIR)
}

/// `[control]`
pub(crate) fn control(settings: &Settings, data_dir: &std::path::Path) -> Control {
    let written = settings.get(control_options::SOCKET);
    Control {
        socket: written.unwrap_or_else(|| data_dir.join("control.sock")),
    }
}
