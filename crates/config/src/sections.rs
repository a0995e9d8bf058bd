//! What the options of sections without a name say, in the shape in which others go by it.

use std::sync::Arc;

use mail::Domain;
use relay_policy::Rules;

use crate::config::{Dns, Log, Notices, Outbound, Reports, Spool, Stop, Tracking, Verify};
use crate::options::{
    auth, dns, greylisting, guardian, guardian_per_client, guardian_per_sender_domain,
    guardian_per_user, limits, limits_rate_per_client, limits_rate_per_network,
    limits_rate_per_user, log, opentelemetry, outbound, outbound_share, queue, queue_ndr, reports,
    reputation, spool, top, tracking, verify,
};
use crate::parts::Sections;
use crate::settings::{Section, Settings};

/// Reads them all.
pub(crate) fn read(settings: &Settings, hostname: &Domain) -> Sections {
    let nobody = Arc::new(Rules::closed("none"));
    let mut sections = Sections {
        session: reception::Settings::new(hostname.clone(), nobody),
        admission: admission::Limits::default(),
        guardian: admission::GuardianRules::default(),
        greylisting: ::greylisting::Settings::default(),
        queue: ::queue::Settings::default(),
        reports: Reports::default(),
        notices: Notices::default(),
        outbound: Outbound::default(),
        dns: Dns::default(),
        verify: Verify::default(),
        spool: Spool::default(),
        log: Log::default(),
        tracking: Tracking::default(),
        stop: Stop::default(),
    };
    for fill in [
        top::fill,
        verify::fill,
        outbound::fill,
        outbound_share::fill,
        dns::fill,
        auth::fill,
        limits::fill,
        limits_rate_per_client::fill,
        limits_rate_per_network::fill,
        limits_rate_per_user::fill,
        guardian::fill,
        guardian_per_user::fill,
        guardian_per_client::fill,
        guardian_per_sender_domain::fill,
        reports::fill,
        greylisting::fill,
        reputation::fill,
        queue::fill,
        queue_ndr::fill,
        spool::fill,
        log::fill,
        opentelemetry::fill,
        tracking::fill,
    ] {
        fill(settings, &Section::top(), &mut sections);
    }
    sections
}
