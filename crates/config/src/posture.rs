//! Refuses an open relay, with a proof.

use std::sync::Arc;

use mail::Place;
use relay_audit::{Hole, HoleKind, Passage, Posture, Proof, Way};

use crate::config::{Listener, Local, MayAdd, Scanner, ScannerKind};
use crate::diagnostic::{Diagnostic, Severity};
use crate::options::relay;
use crate::settings::Settings;

/// Each hole is an error, or a warning when the risk is accepted. Gives the whole posture.
pub(crate) fn check(settings: &mut Settings, listeners: &[Listener], local: &Local) -> Posture {
    let of_listeners = listeners.iter().map(|listener| &*listener.rules);
    let of_this_machine = local.sessions().map(|session| &*session.rules);
    let posture = relay_audit::posture(of_listeners.chain(of_this_machine));
    let accepted = settings.is_set(relay::ACCEPT_RISK);
    let severity = if accepted {
        Severity::Warning
    } else {
        Severity::Error
    };
    for hole in &posture.holes {
        let label = label(settings, hole);
        let message = "this configuration is an open relay".to_owned();
        let diagnostic = point(settings, severity, &hole.place, message, &label);
        let diagnostic = diagnostic.with_note("proof", proof(&hole.proof));
        let diagnostic = if accepted {
            diagnostic
        } else {
            diagnostic.with_note("help", help(&hole.kind))
        };
        settings.push("", settings.span_at(&hole.place), diagnostic);
    }
    for suspicion in &posture.suspicions {
        let message = "a permitted client looks wrong".to_owned();
        let diagnostic = point(
            settings,
            Severity::Warning,
            &suspicion.place,
            message,
            &suspicion.text,
        );
        settings.push("", settings.span_at(&suspicion.place), diagnostic);
    }
    posture
}

/// With where mail of strangers leaves by the word of scanners.
pub(crate) fn with_scanners(mut posture: Posture, scanners: &[Arc<Scanner>]) -> Posture {
    let adds = |scanner: &&Arc<Scanner>| {
        let has_a_word = matches!(scanner.kind, ScannerKind::Milter | ScannerKind::Rspamd);
        has_a_word && scanner.may_add == MayAdd::Anybody
    };
    let passage = |scanner: &Arc<Scanner>| Passage {
        way: Way::AddedBy(Arc::clone(&scanner.name)),
        place: scanner.place.clone(),
    };
    let passages = scanners.iter().filter(adds).map(passage);
    posture.passages.extend(passages);
    posture
}

fn point(
    settings: &Settings,
    severity: Severity,
    place: &Place,
    message: String,
    label: &str,
) -> Diagnostic {
    match settings.span_at(place) {
        Some(span) => settings.at(severity, &span, message, label),
        None => Diagnostic::new(severity, format!("{message}: {label}")),
    }
}

fn label(settings: &Settings, hole: &Hole) -> String {
    let at = match &hole.listener_place {
        Place::Default | Place::Preset => String::new(),
        Place::Line { file, line, .. } => match settings.sources.first() {
            Some(main) if main.name == *file => format!(" (line {line})"),
            Some(_) | None => format!(" ({file}:{line})"),
        },
    };
    let who = format!(
        "listener `{}`{at} takes strangers",
        mail::escaped(&hole.listener)
    );
    match &hole.kind {
        HoleKind::AllExcept { entries: 0 } => {
            format!("{who}, and this lets all of them send anywhere")
        }
        HoleKind::AllExcept { entries } => {
            format!("{who}, and this lets all but {entries} of them send anywhere")
        }
        HoleKind::TooManyAddresses { public } => {
            format!("{who}, and this lets {public} public addresses send anywhere")
        }
        HoleKind::WideName { entry } => {
            format!("{who}, and anybody can have a host in `{entry}`")
        }
        HoleKind::WideDomain { name } => {
            format!("{who}, and `{name}` holds domains of everybody")
        }
    }
}

fn proof(proof: &Proof) -> String {
    let name = proof
        .client_name
        .as_ref()
        .map(|name| format!(" ({name})"))
        .unwrap_or_default();
    format!(
        "{}{name} -> {} would be accepted",
        proof.client, proof.recipient
    )
}

fn help(kind: &HoleKind) -> &'static str {
    match kind {
        HoleKind::AllExcept { .. } => {
            "use mode = \"only-list\", \
             or let only known clients connect (connect.mode = \"only-list\"), \
             or set relay.accept_risk = \"open-relay\""
        }
        HoleKind::TooManyAddresses { .. } | HoleKind::WideName { .. } => {
            "list only clients of your own, \
             or let only known clients connect (connect.mode = \"only-list\"), \
             or set relay.accept_risk = \"open-relay\""
        }
        HoleKind::WideDomain { .. } => {
            "name your own domains, or use accept_from = \"relay\", \
             or set relay.accept_risk = \"open-relay\""
        }
    }
}
