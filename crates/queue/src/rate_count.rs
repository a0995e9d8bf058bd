use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use route::RateUnit;

/// Rates with a longer time than this are worth knowing after a restart, which takes a moment itself.
pub(crate) const KEPT_FROM: Duration = Duration::from_secs(60);
/// Of so many at most, the ones that are used up most: of those that are far from being used up,
/// nothing is lost that anybody would notice.
pub(crate) const KEPT_MAX: usize = 1000;
/// What begins the text, with its version.
const HEAD: &str = "gatepost rates 1";

/// How much went to a site within the time of one of its rates: what has to be known after a restart,
/// so that the rate holds over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateCount {
    /// The site.
    pub site: Arc<str>,
    /// What is counted.
    pub unit: RateUnit,
    /// In how long.
    pub per: Duration,
    /// When a slice of that time began, on the queue's line of time, and how much went in it; the
    /// oldest first.
    pub slices: Vec<(Timestamp, u32)>,
}

impl RateCount {
    /// These as text, a line for each.
    pub fn written(counts: &[RateCount]) -> String {
        let mut text = format!("{HEAD}\n");
        for count in counts {
            let unit = word(count.unit);
            let slices = count.slices.iter();
            let slices = slices.map(|(at, number)| format!("{}:{number}", at.as_millis()));
            let slices = slices.collect::<Vec<_>>().join(",");
            let (per, site) = (count.per.as_millis(), &count.site);
            // A name is the configuration's or a domain: none has more lines than one.
            if !site.contains(char::is_control) {
                let _never_fails = writeln!(text, "{unit} {per} {slices} {site}");
            }
        }
        text.push_str("end\n");
        text
    }

    /// What [`RateCount::written`] gave; `None` when it is anything else.
    pub fn read(text: &str) -> Option<Vec<RateCount>> {
        let text = text.strip_prefix(HEAD)?.strip_prefix('\n')?;
        let lines = text.strip_suffix("end\n")?.lines();
        let counts: Option<Vec<RateCount>> = lines.map(of_line).collect();
        counts.filter(|counts| counts.len() <= KEPT_MAX)
    }
}

fn of_line(line: &str) -> Option<RateCount> {
    let mut words = line.splitn(4, ' ');
    let unit = words.next()?;
    let units = [RateUnit::Messages, RateUnit::Recipients];
    let unit = units.into_iter().find(|one| word(*one) == unit)?;
    let per = Duration::from_millis(words.next()?.parse().ok()?);
    let slices: Option<Vec<(Timestamp, u32)>> = words.next()?.split(',').map(slice).collect();
    let slices = slices?;
    let site = words.next().filter(|site| !site.is_empty())?;
    let is_sound = per > KEPT_FROM && slices.is_sorted_by_key(|(at, _)| *at);
    is_sound.then(|| RateCount {
        site: site.into(),
        unit,
        per,
        slices,
    })
}

fn slice(text: &str) -> Option<(Timestamp, u32)> {
    let (at, number) = text.split_once(':')?;
    let at = Timestamp::from_millis(at.parse().ok()?);
    Some((at, number.parse().ok()?))
}

fn word(unit: RateUnit) -> &'static str {
    match unit {
        RateUnit::Messages => "messages",
        RateUnit::Recipients => "recipients",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(site: &str, unit: RateUnit) -> RateCount {
        let at = Timestamp::from_millis;
        RateCount {
            site: site.into(),
            unit,
            per: Duration::from_secs(86_400),
            slices: vec![(at(1_440_000), 7), (at(4_320_000), u32::MAX)],
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let two = [
            count("route:the day's", RateUnit::Messages),
            count("mx:x.test", RateUnit::Recipients),
        ];
        for counts in [&two[..], &[]] {
            let text = RateCount::written(counts);
            assert_eq!(RateCount::read(&text).as_deref(), Some(counts));
            // Half of it, and one that somebody changed.
            for cut in 0..text.len() {
                assert_eq!(RateCount::read(&text[..cut]), None, "{}", &text[..cut]);
            }
        }
        let line = "messages 86400000 1440000:7,4320000:9 mx:x.test";
        let with = |line: &str| RateCount::read(&format!("{HEAD}\n{line}\nend\n"));
        assert!(with(line).is_some());
        for (good, bad) in [
            ("messages", "letters"),
            ("86400000", "60000"),
            ("86400000", "-1"),
            ("1440000:7", "9990000:7"),
            (":9", ""),
            (":9", ":4294967296"),
            (" mx:x.test", ""),
        ] {
            assert_eq!(with(&line.replace(good, bad)), None, "{bad}");
        }
        let many = format!("{line}\n").repeat(KEPT_MAX + 1);
        assert_eq!(with(many.trim_end()), None);
        let lines = RateCount::written(&[count("a\nb", RateUnit::Messages)]);
        assert_eq!(RateCount::read(&lines), Some(Vec::new()));
    }
}
