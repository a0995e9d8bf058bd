//! Numbers: sizes, counts, times; and files of certificates.

use super::Work;
use super::lines::words;
use crate::draft::{list, quoted};
use crate::report::{Fate, Origin};

/// A number of ours, with its bounds.
struct Count {
    name: &'static str,
    section: &'static str,
    key: &'static str,
    least: u64,
    most: u64,
}

const COUNTS: [Count; 4] = [
    Count {
        name: "smtpd_recipient_limit",
        section: "[limits]",
        key: "recipients",
        least: 100,
        most: 50_000,
    },
    Count {
        name: "hopcount_limit",
        section: "[limits]",
        key: "hops",
        least: 1,
        most: 200,
    },
    Count {
        name: "smtpd_hard_error_limit",
        section: "[limits]",
        key: "errors",
        least: 1,
        most: 10_000,
    },
    Count {
        name: "smtp_destination_concurrency_limit",
        section: "[outbound]",
        key: "max_per_site",
        least: 1,
        most: 1_000_000,
    },
];

pub(super) fn write(work: &mut Work<'_>) {
    size(work);
    for count in &COUNTS {
        self::count(work, count);
    }
    rates(work);
    times(work);
    notices(work);
    certificates(work);
    if work.parameters.value("inet_protocols") == "ipv4" {
        let origin = work.parameters.get("inet_protocols").origin;
        work.draft.set("[outbound]", "ip", "4", &origin);
        work.report
            .add(Fate::Translated, &origin, "outbound.ip", "");
    }
}

fn size(work: &mut Work<'_>) {
    let parameter = work.parameters.get("message_size_limit");
    match parameter.value.parse::<u64>() {
        Ok(0) => {
            let why = "there always is a limit: that of limits.message_size";
            work.report.add(
                Fate::NotTranslated,
                &parameter.origin,
                "limits.message_size",
                why,
            );
        }
        Ok(octets) => {
            let origin = &parameter.origin;
            work.draft.set(
                "[limits]",
                "message_size",
                quoted(&format!("{octets}B")),
                origin,
            );
            work.report
                .add(Fate::Translated, origin, "limits.message_size", "");
        }
        Err(_) => work.report.add(
            Fate::NotTranslated,
            &parameter.origin,
            "limits.message_size",
            "no number",
        ),
    }
}

fn count(work: &mut Work<'_>, count: &Count) {
    let parameter = work.parameters.get(count.name);
    if !parameter.written {
        return;
    }
    let option = format!("{}.{}", count.section.trim_matches(['[', ']']), count.key);
    let Some(number) = parameter
        .value
        .parse::<u64>()
        .ok()
        .filter(|&number| number > 0)
    else {
        let why = "no number, or no limit, which is not to be had";
        return work
            .report
            .add(Fate::NotTranslated, &parameter.origin, &option, why);
    };
    let ours = number.clamp(count.least, count.most);
    work.draft.set(
        count.section,
        count.key,
        ours.to_string(),
        &parameter.origin,
    );
    let (fate, why) = if ours == number {
        (Fate::Translated, String::new())
    } else {
        (
            Fate::Changed,
            format!(
                "{ours}, since it goes from {} to {}",
                count.least, count.most
            ),
        )
    };
    work.report.add(fate, &parameter.origin, &option, why);
}

fn rates(work: &mut Work<'_>) {
    let unit = work.parameters.get("anvil_rate_time_unit");
    let seconds = seconds(&unit.value, 1).unwrap_or(60);
    for (name, key) in [
        ("smtpd_client_connection_rate_limit", "connections"),
        ("smtpd_client_message_rate_limit", "messages"),
        ("smtpd_client_recipient_rate_limit", "recipients"),
    ] {
        let parameter = work.parameters.get(name);
        if let Some(number) = parameter
            .value
            .parse::<u64>()
            .ok()
            .filter(|&number| number > 0)
        {
            let rate = quoted(&format!("{number}/{seconds}s"));
            work.draft
                .set("[limits.rate_per_client]", key, rate, &parameter.origin);
            let option = format!("limits.rate_per_client.{key}");
            work.report
                .add(Fate::Translated, &parameter.origin, &option, "");
        }
    }
}

/// `5d`, `300s`, or a number of the parameter's own unit, in seconds.
fn seconds(text: &str, unit: u64) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.chars().last()? {
        's' => (text.strip_suffix('s')?, 1),
        'm' => (text.strip_suffix('m')?, 60),
        'h' => (text.strip_suffix('h')?, 3600),
        'd' => (text.strip_suffix('d')?, 86_400),
        'w' => (text.strip_suffix('w')?, 604_800),
        _ => (text, unit),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

const DAY: u64 = 86_400;
const HOUR: u64 = 3600;

fn times(work: &mut Work<'_>) {
    let expire = work.parameters.get("maximal_queue_lifetime");
    let text = if expire.written { &expire.value } else { "5d" };
    match seconds(text, DAY) {
        Some(seconds) if seconds > 0 => {
            work.draft.set(
                "[queue]",
                "expire",
                quoted(&duration(seconds)),
                &expire.origin,
            );
            work.report
                .add(Fate::Translated, &expire.origin, "queue.expire", "");
        }
        _ => {
            let why = "one attempt alone is not to be had";
            work.report
                .add(Fate::NotTranslated, &expire.origin, "queue.expire", why);
        }
    }
    let bounces = work.parameters.get("bounce_queue_lifetime");
    if bounces.written {
        let why = "bounces live as long as other mail, then they are badmail (queue.badmail)";
        work.report
            .add(Fate::Changed, &bounces.origin, "queue.expire", why);
    }
    let delay = work.parameters.get("delay_warning_time");
    let notice = match seconds(&delay.value, HOUR) {
        Some(seconds) if seconds > 0 => duration(seconds),
        _ => "off".to_owned(),
    };
    work.draft
        .set("[queue]", "delay_notice", quoted(&notice), &delay.origin);
    work.report
        .add(Fate::Translated, &delay.origin, "queue.delay_notice", "");
    retry(work);
}

/// Each pause twice the one before, from the least to the most.
fn retry(work: &mut Work<'_>) {
    const PAUSES_MAX: usize = 12;
    let least = work.parameters.get("minimal_backoff_time");
    let most = work.parameters.get("maximal_backoff_time");
    let first = seconds(&least.value, 1).unwrap_or(300).max(1);
    let last = seconds(&most.value, 1).unwrap_or(4000).max(first);
    let mut pauses = Vec::new();
    let mut pause = first;
    while pause < last && pauses.len() < PAUSES_MAX {
        pauses.push(duration(pause));
        pause = pause.saturating_mul(2);
    }
    pauses.push(duration(last));
    let origin = if least.written {
        &least.origin
    } else {
        &most.origin
    };
    work.draft.set(
        "[queue]",
        "retry",
        list(pauses.iter().map(String::as_str)),
        origin,
    );
    for parameter in [&least, &most] {
        work.report
            .add(Fate::Translated, &parameter.origin, "queue.retry", "");
    }
}

fn duration(seconds: u64) -> String {
    for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (60, 'm')] {
        if seconds.is_multiple_of(unit) {
            return format!("{}{letter}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

fn notices(work: &mut Work<'_>) {
    let classes = work.parameters.get("notify_classes");
    if !words(&classes.value).iter().any(|class| class == "bounce") {
        return;
    }
    let recipient = work.parameters.get("bounce_notice_recipient");
    let address = if recipient.value.is_empty() {
        "postmaster".to_owned()
    } else {
        recipient.value
    };
    let address = if address.contains('@') {
        address
    } else {
        format!("{address}@{}", work.origin())
    };
    work.draft
        .set("[queue.ndr]", "copy_to", quoted(&address), &classes.origin);
    work.report
        .add(Fate::Translated, &classes.origin, "queue.ndr.copy_to", "");
}

fn certificates(work: &mut Work<'_>) {
    let mut certificates = Vec::new();
    let mut keys = Vec::new();
    let mut origin: Option<Origin> = None;
    for (certificate, key) in [
        ("smtpd_tls_cert_file", "smtpd_tls_key_file"),
        ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"),
        ("smtpd_tls_chain_files", "smtpd_tls_chain_files"),
    ] {
        let (certificate, key) = (work.parameters.get(certificate), work.parameters.get(key));
        let files = words(&certificate.value);
        if files.is_empty() {
            continue;
        }
        // A key may stand in the file of its certificate.
        let key_files = words(&key.value);
        keys.extend(if key_files.len() == files.len() {
            key_files
        } else {
            files.clone()
        });
        certificates.extend(files);
        for parameter in [&certificate, &key]
            .into_iter()
            .filter(|parameter| parameter.written)
        {
            work.report.add(
                Fate::Translated,
                &parameter.origin,
                "[tls]",
                "the relay's account has to be able to read it",
            );
        }
        origin.get_or_insert(certificate.origin);
    }
    if let Some(origin) = origin {
        work.draft.set(
            "[tls]",
            "certificate",
            list(certificates.iter().map(String::as_str)),
            &origin,
        );
        work.draft.set(
            "[tls]",
            "key",
            list(keys.iter().map(String::as_str)),
            &origin,
        );
    }
    for (name, section, key) in [
        ("smtpd_tls_CAfile", "[tls]", "client_ca"),
        ("smtp_tls_CAfile", "[outbound]", "ca"),
    ] {
        let file = work.parameters.get(name);
        if file.written && !file.value.is_empty() {
            work.draft
                .set(section, key, quoted(&file.value), &file.origin);
            let option = format!("{}.{key}", section.trim_matches(['[', ']']));
            work.report.add(Fate::Translated, &file.origin, &option, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, unit, expected) in [
            ("5d", 1, Some(432_000)),
            ("4", HOUR, Some(14_400)),
            ("90s", 1, Some(90)),
            ("", 1, None),
            ("x", 1, None),
            ("99999999999999999999w", 1, None),
        ] {
            assert_eq!(seconds(text, unit), expected, "{text}");
        }
        assert_eq!(
            [duration(4000), duration(600), duration(DAY)],
            ["4000s", "10m", "1d"]
        );
    }
}
