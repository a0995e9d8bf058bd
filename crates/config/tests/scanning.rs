//! `[scanner.NAME]`: programs beside us that look at messages, and what follows from their word.

mod memory;

use config::{ScannerAddress, ScannerKind};
use mail::Mailbox;
use memory::{bad, good};
use screening::Direction;

const CLAM: &str = "[scanner.clam]\nkind = \"clamd\"\naddress = \"/run/clamd.ctl\"\n";

#[test]
fn a_scanner_is_read_with_its_defaults_and_its_addresses() {
    let text = "[listener.inside]\nbind = \"127.0.0.1:25\"\n\
                [scanner.one]\nkind = \"rspamd\"\n\
                address = [\"/run/a.sock\", \"host.test:11333\", \"[::1]:11333\"]\n\
                max_size = \"1MB\"\ndirection = \"in\"\nlistener = \"inside\"\nto = \"hosted.test\"\n";
    let loaded = good(text);
    let [scanner] = &loaded.config.screening.scanners[..] else {
        panic!("one scanner");
    };
    assert_eq!(scanner.kind, ScannerKind::Rspamd);
    let addresses: Vec<String> = scanner.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["/run/a.sock", "host.test:11333", "[::1]:11333"]);
    assert_eq!(
        scanner.addresses[2],
        ScannerAddress::Tcp("::1".into(), 11333)
    );
    assert_eq!((scanner.timeout.as_secs(), scanner.parallel), (30, 16));
    assert!(scanner.too_large(1_000_000).is_none() && scanner.too_large(1_000_001).is_some());
    let mailbox = |text| Mailbox::parse(text).unwrap();
    let asked =
        |direction, listener, to: &[Mailbox]| scanner.is_asked(direction, listener, to.iter());
    let ours = [mailbox("a@other.test"), mailbox("b@hosted.test")];
    assert!(asked(Direction::In, "inside", &ours));
    assert!(!asked(Direction::In, "inside", &ours[..1]));
    assert!(!asked(Direction::Out, "inside", &ours));
    assert!(!asked(Direction::In, "outside", &ours));
}

#[test]
fn what_follows_from_their_word_stands_behind_the_rules_the_strictest_first() {
    let text = format!(
        "[[screen]]\nname = \"mine\"\nwhen.scanner = [\"clam: infected\", \"spam: score > 6\"]\nthen = \"hold\"\n\
         {CLAM}on_failure = \"hold\"\ntoo_large = \"refuse\"\n\
         [scanner.spam]\nkind = \"rspamd\"\naddress = \"127.0.0.1:11333\"\n\
         [authentication]\ndmarc = \"respect\"\n"
    );
    let loaded = good(&text);
    let rules = loaded.config.screening.screens.rules().iter();
    let rules = rules.map(|rule| {
        let then: Vec<String> = rule.then.iter().map(ToString::to_string).collect();
        format!("{} ({}) {}", rule.name, rule.place, then.join(", "))
    });
    let expected = [
        "mine (gatepost.toml:1) hold",
        "dmarc reject (gatepost.toml:14) refuse",
        "scanner clam: infected (gatepost.toml:5) refuse",
        "scanner clam: too-large (gatepost.toml:9) refuse",
        "scanner clam: reject (gatepost.toml:5) refuse",
        "scanner spam: infected (gatepost.toml:10) refuse",
        "scanner spam: reject (gatepost.toml:10) refuse",
        "scanner clam: discard (gatepost.toml:5) discard",
        "scanner spam: discard (gatepost.toml:10) discard",
        "dmarc unknown (gatepost.toml:14) refuse",
        "scanner clam: postpone (gatepost.toml:5) refuse",
        "scanner spam: error (gatepost.toml:10) refuse",
        "scanner spam: postpone (gatepost.toml:10) refuse",
        "scanner clam: error (gatepost.toml:8) hold",
        "scanner clam: quarantine (gatepost.toml:5) hold",
        "scanner spam: quarantine (gatepost.toml:10) hold",
        "dmarc quarantine (gatepost.toml:14) hold",
        "dmarc authors (gatepost.toml:14) hold",
    ];
    assert_eq!(rules.collect::<Vec<_>>(), expected);
    let quiet = format!("{CLAM}infected = \"accept\"\nobey = false\non_failure = \"accept\"\n");
    assert!(good(&quiet).config.screening.screens.is_empty());
}

#[test]
fn who_learns_is_taught_at_addresses_of_its_own() {
    let text = "[scanner.spam]\nkind = \"rspamd\"\naddress = \"/run/a\"\nsettings_id = \"in\"\n\
                learn_address = [\"127.0.0.1:11334\", \"/run/b\"]\nlearn_fuzzy_flag = 11\n";
    let loaded = good(text);
    let scanner = &loaded.config.screening.scanners[0];
    assert_eq!(scanner.settings_id.as_deref(), Some("in"));
    let learning = scanner.learning.as_ref().expect("it learns");
    assert_eq!(
        (learning.addresses.len(), learning.fuzzy),
        (2, Some((11, 10)))
    );
    assert!(good(CLAM).config.screening.scanners[0].learning.is_none());
}

#[test]
fn who_may_add_any_recipient_is_told_with_the_posture() {
    let text = |may_add: &str| {
        format!(
            "[scanner.m]\nkind = \"milter\"\naddress = \"/run/m\"\nmay_add_recipients = \"{may_add}\"\n"
        )
    };
    let posture = |text: &str| good(text).config.posture.to_string();
    let told = "the scanner m may add any recipient (gatepost.toml:1)";
    assert!(posture(&text("anybody")).contains(told));
    assert!(!posture(&text("hosted")).contains("scanner"));
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let rule =
        |says: &str| format!("{CLAM}[[screen]]\nthen = \"hold\"\nwhen.scanner = \"{says}\"\n");
    let cases = [
        (
            "[scanner.clam]\n".to_owned(),
            "needs a `kind` and an `address`",
        ),
        (
            "[scanner.clam]\nkind = \"clamav\"\naddress = \"/x\"\n".to_owned(),
            "kind",
        ),
        (
            "[scanner.clam]\nkind = \"clamd\"\naddress = \"localhost\"\n".to_owned(),
            "address",
        ),
        (
            "[scanner.clam]\nkind = \"clamd\"\naddress = \"a b:1\"\n".to_owned(),
            "address",
        ),
        (
            "[scanner.clam]\nkind = \"icap\"\naddress = \"/x\"\n".to_owned(),
            "which service",
        ),
        (format!("{CLAM}service = \"/x\"\n"), "`service` is not read"),
        (
            format!("{CLAM}secret = \"env:X\"\n"),
            "`secret` is not read",
        ),
        (
            format!("{CLAM}learn_address = \"/x\"\n"),
            "`learn_address` is not read",
        ),
        (
            format!("{CLAM}settings_id = \"x\"\n"),
            "`settings_id` is not read",
        ),
        (
            format!("{CLAM}learn_fuzzy_flag = 1\n"),
            "`learn_fuzzy_flag` is not read",
        ),
        (
            "[scanner.spam]\nkind = \"rspamd\"\naddress = \"/x\"\nlearn_secret = \"env:X\"\n"
                .to_owned(),
            "`learn_secret` is not read",
        ),
        (format!("{CLAM}timeout = \"0s\"\n"), "timeout"),
        (
            format!("{CLAM}listener = \"inn\"\n"),
            "there is no [listener.inn]",
        ),
        (rule("infected"), "a scanner and what it says"),
        (rule("clam: virus"), "a scanner does not say `virus`"),
        (rule("clam: score > high"), "a scanner does not say"),
        (rule("clan: infected"), "there is no [scanner.clan]"),
    ];
    for (text, expected) in cases {
        let told = bad(&text).to_string();
        assert!(told.contains(expected), "{text}\n{told}");
    }
}
