//! What an operator should look at though nothing stands still, for `gatepost status`. The alerts
//! for Prometheus in `packaging` have the same limits.

use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;

/// Mail that waits for longer.
const OLD: Duration = Duration::from_hours(4);
/// A certificate that ends within this time.
const ENDS_SOON: Duration = Duration::from_hours(24 * 14);
/// Less room than so many times what new mail leaves free.
const ROOM: u64 = 2;

/// So many of those who send too much are named.
const SENDERS: usize = 10;

const RELOAD_DUE: &str =
    "what is configured is not in force: the last reload failed, or files wait for one";

/// What is looked at.
#[derive(Debug, Default)]
pub(crate) struct Attention {
    /// The age of the oldest message that waits.
    pub(crate) oldest: Option<Duration>,
    /// When the first certificate of each listener ends, by the system's clock.
    pub(crate) certificates: Vec<(Arc<str>, Timestamp)>,
    /// What is wrong with certificates by ACME, a line each.
    pub(crate) acme: Vec<String>,
    /// Octets free on the disk of the spool, as far as they are known.
    pub(crate) free: Option<u64>,
    /// Octets that new mail leaves free there.
    pub(crate) min_free: u64,
    /// Who sends too much, a line each.
    pub(crate) senders: Vec<String>,
    /// Lines of the log that are lost because nobody read them.
    pub(crate) lost_log_lines: u64,
    /// Rows of protocol logs that are lost.
    pub(crate) lost_protocol_rows: u64,
    /// Lines of the log that did not come to syslog servers, or to the journal.
    pub(crate) lost_lines_elsewhere: u64,
    /// What keeps logs from their places at present.
    pub(crate) log_troubles: Vec<String>,
    /// Scanners that do not answer, a line each.
    pub(crate) scanner_troubles: Vec<String>,
    /// What could not be served beside mail, a line each.
    pub(crate) absent: Vec<String>,
    /// Why the last upgrade that was asked for did not begin.
    pub(crate) upgrade_refused: Option<String>,
    /// The last reload failed, or one is waited for.
    pub(crate) is_reload_due: bool,
    /// Tracking rows that are lost, and what is wrong with their store at present.
    pub(crate) lost_rows: u64,
    pub(crate) tracking_trouble: Option<String>,
    /// Where a damaged tracking store lies that was set aside.
    pub(crate) tracking_set_aside: Option<String>,
}

impl Attention {
    /// What of it needs attention, a line each.
    pub(crate) fn lines(&self, now: Timestamp) -> Vec<String> {
        let old = self.oldest.filter(|age| *age > OLD);
        let old = old.map(|age| format!("the oldest mail has waited for {} hours", hours(age)));
        let room = self.min_free.saturating_mul(ROOM);
        let full = self.free.filter(|free| *free < room).map(|free| {
            let (free, floor) = (free / 1_000_000, self.min_free / 1_000_000);
            format!("{free} MB are free on the spool's disk, new mail leaves {floor} MB free")
        });
        let lost = |count| Some(count).filter(|lost| *lost > 0);
        let log = lost(self.lost_log_lines);
        let log = log.map(|lost| format!("{lost} lines of the log are lost: nobody read it"));
        let rows = lost(self.lost_protocol_rows);
        let rows = rows.map(|lost| {
            format!("{lost} rows of protocol logs are lost: what takes them is full, slow or away")
        });
        let elsewhere = lost(self.lost_lines_elsewhere);
        let elsewhere = elsewhere.map(|lost| {
            format!("{lost} lines of the log are lost on the way to syslog or the journal")
        });
        let troubles = self.log_troubles.iter();
        let troubles = troubles.map(|why| format!("a log does not go out at present: {why}"));
        let reload = self.is_reload_due.then(|| RELOAD_DUE.to_owned());
        let upgrade = self.upgrade_refused.as_ref();
        let upgrade = upgrade.map(|why| format!("the last upgrade did not begin: {why}"));
        let tracked = lost(self.lost_rows);
        let tracked = tracked.map(|lost| format!("{lost} tracking rows are lost"));
        let store = self.tracking_trouble.as_ref();
        let store = store.map(|why| format!("nothing is tracked at present: {why}"));
        let aside = self.tracking_set_aside.as_ref().map(|file| {
            format!(
                "a damaged tracking store was set aside: look at its disk, then move {file} away, or remove it"
            )
        });
        let ends = self.certificates.iter();
        let ends = ends.filter_map(|(listener, ends)| ending(listener, *ends, now));
        let mut lines: Vec<String> = ends.collect();
        lines.sort();
        lines.extend(self.acme.iter().cloned());
        lines.extend(self.senders.iter().take(SENDERS).cloned());
        let more = self.senders.len().saturating_sub(SENDERS);
        lines.extend((more > 0).then(|| format!("{more} more send too much")));
        let told = [
            upgrade, reload, old, full, log, rows, elsewhere, tracked, store, aside,
        ];
        lines.extend(told.into_iter().flatten());
        lines.extend(troubles);
        lines.extend(self.absent.iter().cloned());
        lines.extend(self.scanner_troubles.iter().cloned());
        lines
    }
}

fn ending(listener: &str, ends: Timestamp, now: Timestamp) -> Option<String> {
    if ends < now {
        let days = hours(now.since(ends)) / 24;
        return Some(format!("a certificate of {listener} ended {days} days ago"));
    }
    let rest = ends.since(now);
    let days = hours(rest) / 24;
    (rest < ENDS_SOON).then(|| format!("a certificate of {listener} ends in {days} days"))
}

fn hours(time: Duration) -> u64 {
    time.as_secs() / 3600
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn what_is_in_order_needs_no_attention() {
        let look = Attention {
            oldest: Some(OLD),
            certificates: vec![("in".into(), NOW + 14 * DAY)],
            free: Some(1_000_000_000),
            min_free: 500_000_000,
            ..Attention::default()
        };
        assert_eq!(look.lines(NOW), Vec::<String>::new());
        assert_eq!(Attention::default().lines(NOW), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_has_a_line_each() {
        let look = Attention {
            oldest: Some(5 * OLD),
            certificates: vec![
                ("in".into(), NOW + 13 * DAY),
                ("door".into(), NOW - 2 * DAY),
            ],
            acme: vec!["there is no certificate for a.test yet".to_owned()],
            free: Some(999_000_000),
            min_free: 500_000_000,
            senders: vec!["7 messages of user ann".to_owned(); SENDERS + 2],
            lost_log_lines: 7,
            lost_protocol_rows: 8,
            lost_lines_elsewhere: 9,
            scanner_troubles: vec!["the scanner clam does not answer at /x: gone".to_owned()],
            log_troubles: vec!["udp://192.0.2.1:514: refused".to_owned()],
            absent: vec!["there is no console".to_owned()],
            upgrade_refused: Some("/bin/x config check: it ended with 1".to_owned()),
            is_reload_due: true,
            lost_rows: 8,
            tracking_trouble: Some("the disk is full".to_owned()),
            tracking_set_aside: Some("/t.damaged".to_owned()),
        };
        let expected = [
            "a certificate of door ended 2 days ago",
            "a certificate of in ends in 13 days",
            "there is no certificate for a.test yet",
        ];
        let mut expected = expected.map(ToOwned::to_owned).to_vec();
        expected.extend(vec!["7 messages of user ann".to_owned(); SENDERS]);
        let further = [
            "2 more send too much",
            "the last upgrade did not begin: /bin/x config check: it ended with 1",
            RELOAD_DUE,
            "the oldest mail has waited for 20 hours",
            "999 MB are free on the spool's disk, new mail leaves 500 MB free",
            "7 lines of the log are lost: nobody read it",
            "8 rows of protocol logs are lost: what takes them is full, slow or away",
            "9 lines of the log are lost on the way to syslog or the journal",
            "8 tracking rows are lost",
            "nothing is tracked at present: the disk is full",
            "a damaged tracking store was set aside: look at its disk, then move /t.damaged away, or remove it",
            "a log does not go out at present: udp://192.0.2.1:514: refused",
            "there is no console",
            "the scanner clam does not answer at /x: gone",
        ];
        expected.extend(further.map(ToOwned::to_owned));
        assert_eq!(look.lines(NOW), expected);
    }
}
