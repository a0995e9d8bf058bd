use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Day;

/// Characters of a hash. As letters of either case count the same, there are some two million of
/// them: guessing has to be made slow elsewhere.
const HASH_LEN: usize = 4;
/// What stands between the parts; before the first of them two others may stand.
const SEPARATOR: char = '=';
const FIRST_SEPARATORS: [char; 3] = [SEPARATOR, '+', '-'];
const TAG_LEN: usize = "SRS0".len();

/// How senders are rewritten at one domain: by which secrets, and for how long.
#[derive(Clone)]
pub struct Scheme {
    keys: Vec<hmac::Key>,
    age_days: u16,
}

/// A sender that was found in an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// What stood left of the `@`, without quotes.
    pub local: String,
    /// What stood right of it.
    pub host: String,
}

/// Why an address is not turned back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Parts of it are missing.
    Form,
    /// The hash is not ours.
    Hash,
    /// It was ours, and is too old.
    Age,
}

/// The two forms of a rewritten sender, without their tag and the first separator.
enum Rewritten<'a> {
    /// `SRS0`: hash, stamp, host and user.
    Direct(&'a str),
    /// `SRS1`: hash, the host of the first forwarder, and what stands behind `SRS0` there.
    Further(&'a str),
}

/// Whether this local part, without quotes, has the form of a rewritten sender.
pub fn is_rewritten(local: &str) -> bool {
    rewritten(local).is_some()
}

fn rewritten(local: &str) -> Option<Rewritten<'_>> {
    let (tag, rest) = local.split_at_checked(TAG_LEN)?;
    let parts = rest.strip_prefix(FIRST_SEPARATORS)?;
    if tag.eq_ignore_ascii_case("SRS0") {
        Some(Rewritten::Direct(parts))
    } else if tag.eq_ignore_ascii_case("SRS1") {
        Some(Rewritten::Further(parts))
    } else {
        None
    }
}

impl Scheme {
    /// One that signs by the first secret; the others count on the way back alone. Without any,
    /// nobody is rewritten and nothing is turned back. Addresses are good for so many days, which are
    /// less than the 1,023 after which their stamp is that of tomorrow.
    pub fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>, age_days: u16) -> Self {
        let key = |secret: S| hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_ref());
        Self {
            keys: secrets.into_iter().map(key).collect(),
            age_days,
        }
    }

    /// The local part that stands for the sender `local@host` today, without quotes; `None` where
    /// there is no secret.
    pub fn rewrite(&self, local: &str, host: &str, today: Day) -> Option<String> {
        let key = self.keys.first()?;
        let known = match rewritten(local) {
            // Its first separator stays: the first forwarder looks for the one that it wrote.
            Some(Rewritten::Direct(_)) => Some((host, &local[TAG_LEN..])),
            Some(Rewritten::Further(parts)) => further(parts).map(|(_, first, tail)| (first, tail)),
            None => None,
        };
        Some(match known {
            Some((first, tail)) => {
                let hash = hash(key, &[first, tail]);
                format!("SRS1={hash}={first}={tail}")
            }
            None => {
                let stamp = today.stamp();
                let hash = hash(key, &[&stamp, host, local]);
                format!("SRS0={hash}={stamp}={host}={local}")
            }
        })
    }

    /// The sender for whom an address of ours stands, whose local part this is, without quotes.
    ///
    /// # Errors
    /// It is none of ours, or no longer.
    pub fn turn_back(&self, local: &str, today: Day) -> Result<Sender, Fault> {
        match rewritten(local).ok_or(Fault::Form)? {
            Rewritten::Direct(parts) => self.direct(parts, today),
            Rewritten::Further(parts) => self.further(parts),
        }
    }

    fn direct(&self, parts: &str, today: Day) -> Result<Sender, Fault> {
        let (hash, stamp, host, local) = direct(parts).ok_or(Fault::Form)?;
        self.check(hash, &[stamp, host, local])?;
        let day = Day::read(stamp).ok_or(Fault::Form)?;
        // Whoever wrote it may have been ahead of us by the hours between two zones of time, or may
        // have rounded the day.
        let is_tomorrow = day.since(today) == 1;
        if today.since(day) > self.age_days && !is_tomorrow {
            return Err(Fault::Age);
        }
        Ok(Sender {
            local: local.to_owned(),
            host: host.to_owned(),
        })
    }

    /// There is no stamp: whoever is named looks at its own.
    fn further(&self, parts: &str) -> Result<Sender, Fault> {
        let (hash, host, tail) = further(parts).ok_or(Fault::Form)?;
        self.check(hash, &[host, tail])?;
        Ok(Sender {
            local: format!("SRS0{tail}"),
            host: host.to_owned(),
        })
    }

    /// Servers on the way may change the case of a local part, so it does not count.
    fn check(&self, given: &str, signed: &[&str]) -> Result<(), Fault> {
        let is_by = |key: &hmac::Key| hash(key, signed).eq_ignore_ascii_case(given);
        self.keys.iter().any(is_by).then_some(()).ok_or(Fault::Hash)
    }
}

/// Hash, stamp, host and user; a user may have the separator in its name.
fn direct(parts: &str) -> Option<(&str, &str, &str, &str)> {
    let (hash, rest) = parts.split_once(SEPARATOR)?;
    let (stamp, rest) = rest.split_once(SEPARATOR)?;
    let (host, user) = rest.split_once(SEPARATOR)?;
    (!host.is_empty() && !user.is_empty()).then_some((hash, stamp, host, user))
}

/// Hash, the first forwarder, and what stood behind its tag, which begins with a separator.
fn further(parts: &str) -> Option<(&str, &str, &str)> {
    let (hash, rest) = parts.split_once(SEPARATOR)?;
    let (host, tail) = rest.split_once(SEPARATOR)?;
    (!host.is_empty() && tail.starts_with(FIRST_SEPARATORS)).then_some((hash, host, tail))
}

/// Letters of either case have the same hash.
fn hash(key: &hmac::Key, signed: &[&str]) -> String {
    let mut context = hmac::Context::with_key(key);
    for part in signed {
        context.update(part.to_ascii_lowercase().as_bytes());
    }
    let mut hash = BASE64.encode(context.sign());
    hash.truncate(HASH_LEN);
    hash
}

/// Secrets are in it, and never in a log.
/// Whether both sign alike and turn the same back; keys themselves are not told apart.
impl PartialEq for Scheme {
    fn eq(&self, other: &Self) -> bool {
        let marks = |scheme: &Self| -> Vec<String> {
            let keys = scheme.keys.iter();
            keys.map(|key| BASE64.encode(hmac::sign(key, b"the same key")))
                .collect()
        };
        self.age_days == other.age_days && marks(self) == marks(other)
    }
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheme")
            .field("secrets", &self.keys.len())
            .field("age_days", &self.age_days)
            .finish()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "parts of it are missing",
            Self::Hash => "the hash is not ours",
            Self::Age => "it is too old",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn day(number: u64) -> Day {
        Day::of(Duration::from_secs(number * 24 * 3600))
    }

    /// `JS`.
    const TODAY: u64 = 306;

    fn scheme(secrets: &[&str]) -> Scheme {
        Scheme::new(secrets, 21)
    }

    fn sender(address: &str) -> Sender {
        let (local, host) = address.rsplit_once('@').unwrap();
        Sender {
            local: local.to_owned(),
            host: host.to_owned(),
        }
    }

    /// What postsrsd 1.10 answered on the day `JS`.
    const OF_POSTSRSD: [(&str, &str); 9] = [
        ("ann@client.example", "SRS0=5mFG=JS=client.example=ann"),
        ("Ann@Client.Example", "SRS0=5mFG=JS=Client.Example=Ann"),
        ("ann@x.srs.example", "SRS0=glbn=JS=x.srs.example=ann"),
        ("SRS0=abc@host.example", "SRS1=9Q4Z=host.example==abc"),
        (
            "srs0=HHHH=TT=a.example=bob@host.example",
            "SRS1=S9VJ=host.example==HHHH=TT=a.example=bob",
        ),
        (
            "SRS0+HHHH=TT=a.example=bob@host.example",
            "SRS1=ZPiy=host.example=+HHHH=TT=a.example=bob",
        ),
        (
            "SRS1=HHHH=h.example==HH=TT=a=b@host.example",
            "SRS1=s7l3=h.example==HH=TT=a=b",
        ),
        (
            "SRS1+HHHH=h.example=+HH=TT=a=b@host.example",
            "SRS1=n440=h.example=+HH=TT=a=b",
        ),
        (
            "srs1-HHHH=h.example=-HH=TT=a=b@host.example",
            "SRS1=eA81=h.example=-HH=TT=a=b",
        ),
    ];

    #[test]
    fn addresses_are_those_of_postsrsd() {
        let scheme = scheme(&["tops3cret", "older"]);
        for (address, expected) in OF_POSTSRSD {
            let Sender { local, host } = sender(address);
            let rewritten = scheme.rewrite(&local, &host, day(TODAY));
            assert_eq!(rewritten.as_deref(), Some(expected), "{address}");
        }
    }

    #[test]
    fn what_has_the_form_in_part_alone_is_a_sender_like_others() {
        // Mail::SRS on the day `JS`.
        let plain = scheme(&["tops3cret"]).rewrite("SRS0", "host.example", day(TODAY));
        assert_eq!(plain.as_deref(), Some("SRS0=ZbkF=JS=host.example=SRS0"));
        for local in [
            "SRS1=",
            "SRS1=abc",
            "SRS1=abc=h",
            "SRS1=abc==x",
            "SRS1=H=h.example=user",
            "SRS2=a",
            "srs0ann",
        ] {
            let scheme = scheme(&["tops3cret"]);
            let rewritten = scheme.rewrite(local, "host.example", day(TODAY)).unwrap();
            assert!(rewritten.starts_with("SRS0="), "{rewritten}");
            let back = scheme.turn_back(&rewritten, day(TODAY));
            assert_eq!(back, Ok(sender(&format!("{local}@host.example"))));
        }
    }

    #[test]
    fn an_address_is_good_for_its_days_and_from_tomorrow_on() {
        let scheme = scheme(&["tops3cret"]);
        let local = scheme.rewrite("ann", "client.example", day(TODAY)).unwrap();
        for (today, expected) in [
            (TODAY - 2, Err(Fault::Age)),
            (TODAY - 1, Ok(sender("ann@client.example"))),
            (TODAY, Ok(sender("ann@client.example"))),
            (TODAY + 21, Ok(sender("ann@client.example"))),
            (TODAY + 22, Err(Fault::Age)),
            (TODAY + 1022, Err(Fault::Age)),
            // The cycle begins anew.
            (TODAY + 1024, Ok(sender("ann@client.example"))),
        ] {
            assert_eq!(scheme.turn_back(&local, day(today)), expected, "{today}");
        }
    }

    #[test]
    fn old_secrets_count_on_the_way_back_alone() {
        let (before, now) = (scheme(&["older"]), scheme(&["tops3cret", "older"]));
        let old = before.rewrite("ann", "client.example", day(TODAY)).unwrap();
        let new = now.rewrite("ann", "client.example", day(TODAY)).unwrap();
        assert_ne!(old, new);
        assert!(now.turn_back(&old, day(TODAY)).is_ok());
        assert_eq!(before.turn_back(&new, day(TODAY)), Err(Fault::Hash));
        let none = scheme(&[]);
        assert_eq!(none.rewrite("ann", "client.example", day(TODAY)), None);
        assert_eq!(none.turn_back(&new, day(TODAY)), Err(Fault::Hash));
    }

    #[test]
    fn case_does_not_count_on_the_way_back_and_nothing_else_is_let_through() {
        let scheme = scheme(&["tops3cret"]);
        let cases = [
            ("srs0=5mfg=js=client.example=ann", Ok("ann@client.example")),
            ("SRS0=5MFG=JS=CLIENT.EXAMPLE=ANN", Ok("ANN@CLIENT.EXAMPLE")),
            ("SRS0+5mFG=JS=client.example=ann", Ok("ann@client.example")),
            ("SRS1=9Q4Z=host.example==abc", Ok("SRS0=abc@host.example")),
            (
                "srs1=eA81=h.example=-HH=TT=a=b",
                Ok("SRS0-HH=TT=a=b@h.example"),
            ),
            ("SRS0=5mFG=JS=client.example=bob", Err(Fault::Hash)),
            ("SRS0=5mFG=JT=client.example=ann", Err(Fault::Hash)),
            ("SRS0=5mF=JS=client.example=ann", Err(Fault::Hash)),
            ("SRS0=5mFGA=JS=client.example=ann", Err(Fault::Hash)),
            ("SRS0==JS=client.example=ann", Err(Fault::Hash)),
            ("SRS1=9Q4Z=other.example==abc", Err(Fault::Hash)),
            ("SRS1=9Q4Z=host.example=abc", Err(Fault::Form)),
            ("SRS0=5mFG=JS=client.example", Err(Fault::Form)),
            ("SRS0=5mFG=JS=client.example=", Err(Fault::Form)),
            ("SRS0=5mFG=JS==ann", Err(Fault::Form)),
            ("SRS0", Err(Fault::Form)),
            ("ann", Err(Fault::Form)),
            ("", Err(Fault::Form)),
        ];
        for (local, expected) in cases {
            let found = scheme.turn_back(local, day(TODAY));
            assert_eq!(found, expected.map(sender), "{local}");
        }
    }

    #[test]
    fn no_secret_is_in_what_is_printed_for_debugging() {
        let shown = format!("{:?}", scheme(&["tops3cret"]));
        assert_eq!(shown, "Scheme { secrets: 1, age_days: 21 }");
    }

    proptest! {
        #[test]
        fn no_text_panics(local in ".{0,40}", today: u16) {
            let _ = scheme(&["s"]).turn_back(&local, day(today.into()));
            let _ = scheme(&["s"]).turn_back(&format!("SRS0={local}"), day(today.into()));
            let _ = scheme(&["s"]).turn_back(&format!("srs1-{local}"), day(today.into()));
        }

        #[test]
        fn whoever_is_rewritten_is_found_again(
            local in "[a-zA-Z0-9=+.-]{1,20}", host in "[a-z]{1,9}\\.example", today: u16, passed in 0_u16..=21,
        ) {
            let (scheme, today) = (scheme(&["s"]), day(today.into()));
            let rewritten = scheme.rewrite(&local, &host, today.before(passed)).unwrap();
            let back = scheme.turn_back(&rewritten, today);
            if !is_rewritten(&local) {
                prop_assert_eq!(back, Ok(Sender { local, host }));
            }
        }
    }
}
