use std::borrow::Cow;

/// Hex digits of a word that no person chose: identifiers of messages have that many and more.
const MACHINE_DIGITS_MIN: usize = 12;
/// Of the shorter words beside such a one, as in a UUID.
const BESIDE_DIGITS_MIN: usize = 4;

/// What is constant of a sender that is another one for each message or recipient, so that its second
/// message meets the first: `address` in lower case, without what changes.
///
/// - BATV, `prvs=0123abcdef=ann@out.example` (draft-levine-smtp-batv): without the tag; also as
///   `prvs=ann/0123abcdef`, and with SparkPost's `msprvs1=`.
/// - SRS, `srs0=hash=stamp=host=user` and `srs1=hash=...`: without hash and stamp.
/// - VERP: without what stands behind `+`, and each number is `#`, as postgrey has it
///   (`list-return-#-bob=ours.example@lists.example`); so is an identifier in hex digits, with its
///   parts where it is a UUID.
///
/// Two senders of which one name remains are one to the triplet: whoever could use that could use the
/// first of them as well.
pub(crate) fn constant_sender(address: &str) -> Box<str> {
    let address = address.to_lowercase();
    let Some((local, host)) = address.rsplit_once('@') else {
        return address.into();
    };
    let local = without_tag(local);
    let local = without_stamp(local);
    let (name, _) = local.split_once('+').unwrap_or((&local, ""));
    // One that is nothing but a tag stays as it is.
    let name = if name.is_empty() { &local } else { name };
    format!("{}@{host}", without_numbers(name)).into()
}

/// Without a tag of BATV.
fn without_tag(local: &str) -> &str {
    let prefixes = ["prvs=", "msprvs1="];
    let Some(rest) = prefixes
        .iter()
        .find_map(|prefix| local.strip_prefix(prefix))
    else {
        return local;
    };
    let name = match (rest.split_once('='), rest.split_once('/')) {
        (Some((_, name)), _) | (None, Some((name, _))) => name,
        (None, None) => "",
    };
    if name.is_empty() { local } else { name }
}

/// Without what SRS writes anew each day, or under another key.
fn without_stamp(local: &str) -> Cow<'_, str> {
    let is_mark = |mark: char| matches!(mark, '=' | '+' | '-');
    for (scheme, changing) in [("srs0", 2), ("srs1", 1)] {
        let rest = local.strip_prefix(scheme);
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(is_mark)) else {
            continue;
        };
        // Hash, stamp, and what stays: the host and the name, or the first forwarder's whole.
        if let Some(stays) = rest.splitn(changing + 1, '=').nth(changing) {
            // The one by whom it was rewritten before has a hash and a stamp of his own.
            let stays = match stays.split_once("==") {
                Some((first, own)) if scheme == "srs1" => {
                    let own = own.splitn(3, '=').nth(2).unwrap_or(own);
                    format!("{first}={own}")
                }
                _ => stays.to_owned(),
            };
            return format!("{scheme}={stays}").into();
        }
    }
    local.into()
}

/// With `#` for each word that is a number or an identifier.
fn without_numbers(name: &str) -> String {
    let words = || name.split(|c: char| !c.is_ascii_alphanumeric());
    let is_hex = |word: &str| word.bytes().all(|octet| octet.is_ascii_hexdigit());
    let has_digit = |word: &str| word.bytes().any(|octet| octet.is_ascii_digit());
    let is_machines =
        |word: &str| word.len() >= MACHINE_DIGITS_MIN && is_hex(word) && has_digit(word);
    let has_machines = words().any(is_machines);
    let changes = |word: &str| {
        !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit())
            || has_machines && word.len() >= BESIDE_DIGITS_MIN && is_hex(word)
    };
    let mut constant = String::with_capacity(name.len());
    let mut rest = name;
    for word in words() {
        constant.push_str(if changes(word) { "#" } else { word });
        // The mark behind it, of however many octets.
        rest = rest.get(word.len()..).unwrap_or_default();
        if let Some(mark) = rest.chars().next() {
            constant.push(mark);
            rest = rest.get(mark.len_utf8()..).unwrap_or_default();
        }
    }
    constant
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_changes_from_message_to_message_is_left_out() {
        for (sender, expected) in [
            ("", ""),
            ("Ann@Out.example", "ann@out.example"),
            ("ann-lee@out.example", "ann-lee@out.example"),
            ("ann2@out.example", "ann2@out.example"),
            // BATV.
            ("prvs=2105a1b2c3=ann@out.example", "ann@out.example"),
            ("PRVS=2105A1B2C3=Ann@out.example", "ann@out.example"),
            ("prvs=ann/2105a1b2c3@out.example", "ann@out.example"),
            ("prvs=tag=ann=b@out.example", "ann=b@out.example"),
            ("prvs=tag=@out.example", "prvs=tag=@out.example"),
            ("prvs=@out.example", "prvs=@out.example"),
            // SRS, by the first and by a second forwarder.
            (
                "SRS0=HHHH=TT=out.example=ann@fwd.example",
                "srs0=out.example=ann@fwd.example",
            ),
            (
                "SRS0+HHHH=TT=out.example=ann@fwd.example",
                "srs0=out.example=ann@fwd.example",
            ),
            (
                "SRS1=GGGG=fwd.example==HHHH=TT=out.example=ann@other.example",
                "srs1=fwd.example=out.example=ann@other.example",
            ),
            ("SRS0=HHHH@fwd.example", "srs0=hhhh@fwd.example"),
            // VERP.
            (
                "list-return-4711-bob=ours.example@lists.example",
                "list-return-#-bob=ours.example@lists.example",
            ),
            (
                "list-bounces+bob=ours.example@lists.example",
                "list-bounces@lists.example",
            ),
            (
                "bounce+4711.a1b2c3-bob=ours.example@mailer.example",
                "bounce@mailer.example",
            ),
            (
                "bounces-12_html-99@mailer.example",
                "bounces-#_html-#@mailer.example",
            ),
            ("+4711@mailer.example", "+#@mailer.example"),
            (
                "0102018c5d2f3b4a-1a2b3c4d-5e6f-4a1b-beef-0123456789ab-000000@ses.example",
                "#-#-#-#-#-#-#@ses.example",
            ),
            (
                "msprvs1=19876abcdefgh=bounces-42@ap.example",
                "bounces-#@ap.example",
            ),
            ("deadbeefcafe@out.example", "deadbeefcafe@out.example"),
            ("2024@out.example", "#@out.example"),
            ("müller-7ß@out.example", "müller-#ß@out.example"),
        ] {
            assert_eq!(&*constant_sender(sender), expected, "{sender}");
        }
    }

    proptest! {
        #[test]
        fn whatever_it_is_the_domain_stays_and_nothing_grows(
            local in "(prvs=|SRS0=|srs1=)?[a-f0-9=+/@é-]{0,40}", host in "[a-z]{1,5}",
        ) {
            let constant = constant_sender(&format!("{local}@{host}"));
            let at = format!("@{host}");
            prop_assert!(constant.ends_with(&at), "{constant}");
            prop_assert!(constant.len() <= local.to_lowercase().len() + at.len(), "{constant}");
        }
    }
}
