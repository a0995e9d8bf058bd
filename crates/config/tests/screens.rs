//! `[[screen]]`: rules about what is in messages.

mod memory;

use std::path::PathBuf;

use memory::{Memory, bad, good};
use screening::{Action, Direction, Screens};

fn screens(text: &str) -> Screens {
    good(text).config.screening.screens.clone()
}

#[test]
fn rules_keep_their_order_their_names_and_their_lines() {
    let text = "[[screen]]\nname = \"executables\"\nwhen = { direction = \"in\", extension = [\"exe\", \".SCR\"] }\n\
                then = \"refuse\"\nmessage = \"No programs here\"\n\
                [[screen]]\nwhen.score_above = 5\nthen = [\"hold\", \"strip\"]\nwhen.kind = \"macro\"\n\
                tag = \"[SPAM] \"\nadd_header = \"X-Spam: yes\"\nfooter = \"a < b\\nc\"\nscore = -2\ndry_run = true\n";
    let screens = screens(text);
    let [first, second] = screens.rules() else {
        panic!("two rules: {screens:?}");
    };
    assert_eq!((&*first.name, &*second.name), ("executables", "screen 2"));
    assert_eq!(first.place.to_string(), "gatepost.toml:1");
    assert_eq!(second.place.to_string(), "gatepost.toml:6");
    assert_eq!(first.when.direction, Some(Direction::In));
    let extensions: Vec<&str> = first
        .when
        .attachment
        .extensions
        .iter()
        .map(|e| &**e)
        .collect();
    assert_eq!(extensions, ["exe", "scr"]);
    let [Action::Refuse(reply)] = &*first.then else {
        panic!("{:?}", first.then);
    };
    assert_eq!(reply.to_string(), "550 5.7.1 No programs here");
    let then: Vec<String> = second.then.iter().map(ToString::to_string).collect();
    assert_eq!(
        then,
        [
            "hold",
            "strip",
            "tag \"[SPAM]\"",
            "header X-Spam",
            "footer",
            "score -2"
        ]
    );
    assert!(second.dry_run && !first.dry_run);
}

#[test]
fn words_come_from_the_file_and_from_lists_beside_it() {
    let list = "# bad words\nlottery win\n/v[i1]agra/   # by all names\n";
    let text = "[[screen]]\nwhen.words = [\"prize\", \"file:words.txt\"]\nthen = \"hold\"\n";
    let files = Memory::default().with("gatepost.toml", text);
    let loaded = files
        .with("words.txt", list)
        .load()
        .unwrap_or_else(|why| panic!("{why}"));
    let words = loaded.config.screening.screens.rules()[0]
        .when
        .words
        .as_ref();
    let words = words.expect("a list");
    assert_eq!(words.count(), 3);
    assert_eq!(words.found_in("cheap v1agra"), Some("v1agra"));
    assert_eq!(loaded.config.list_files, [PathBuf::from("words.txt")]);
}

#[test]
fn mistakes_are_told_where_they_stand() {
    let cases = [
        (
            "[[screen]]\nthen = \"strip\"\nwhen.words = \"x\"\n",
            "this one asks for none",
        ),
        (
            "[[screen]]\nfooter_html = \"<p>x</p>\"\n",
            "stands for `footer` in HTML",
        ),
        (
            "[[screen]]\nfooter_in_signed = true\n",
            "says where `footer` goes",
        ),
        ("[[screen]]\ntag = \"\\n\"\n", "tag"),
        ("[[screen]]\nwhen.words = \"x\"\n", "not what becomes of it"),
        (
            "[[screen]]\nthen = [\"hold\", \"refuse\"]\n",
            "cannot end in two ways",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nredirect_to = \"a@b.test\"\n",
            "cannot end in two ways",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.words = \"/(/\"\n",
            "no regular expression",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.words = \" \"\n",
            "an entry without a word",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.words = \"file:none.txt\"\n",
            "cannot read none.txt",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.listener = \"inn\"\n",
            "there is no [listener.inn]",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.client = \"*.out.test\"\n",
            "known here by address alone",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.to = \"<>\"\n",
            "no message goes to <>",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.kind = \"exe\"\n",
            "when.kind",
        ),
        ("[[screen]]\nthen = \"quarantine\"\n", "then"),
        ("[[screen]]\nadd_header = \"X Spam: yes\"\n", "add_header"),
        (
            "[[screen]]\ncopy_to = \"b\u{f6}b@out.test\"\n",
            "beyond ASCII",
        ),
        (
            "[[screen]]\nthen = \"hold\"\nwhen.subjct = \"x\"\n",
            "did you mean `subject`",
        ),
    ];
    for (text, expected) in cases {
        let told = bad(text).to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn mistakes_about_what_is_held_are_told_too() {
    let cases = [
        (
            "[quarantine]\ndigest = \"postmaster\"\n",
            "nobody is postmaster",
        ),
        (
            "[quarantine]\ndigest_at = \"7:00\"\n",
            "write hours and minutes",
        ),
        (
            "[quarantine]\nlink_bind = \"127.0.0.1:0\"\n",
            "nobody learns of pages at link_bind",
        ),
        (
            "[quarantine]\nlink_url = \"https://held.test\"\n",
            "its pages are served nowhere",
        ),
        (
            "[quarantine]\nlink_url = \"https://held.test\"\nlink_bind = \"192.0.2.1:443\"\n",
            "the page of links at 192.0.2.1:443 would be reached in clear",
        ),
        (
            "[[screen]]\nthen = \"refuse\"\nrelease_by_link = true\n",
            "it holds nothing that could be released",
        ),
    ];
    for (text, expected) in cases {
        let told = bad(text).to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn only_rules_that_say_so_let_go_on_what_they_hold_by_a_link() {
    let rule = |name: &str, link: bool| {
        format!("[[screen]]\nname = \"{name}\"\nthen = \"hold\"\nrelease_by_link = {link}\n")
    };
    let text = format!(
        "[quarantine]\ndigest = \"recipients\"\nlink_url = \"https://held.test/a/\"\nlink_bind = \"[::1]:0\"\n\
         {}{}{}{}",
        rule("prizes", true),
        rule("programs", false),
        // Of two of one name nobody could tell which of them holds a message.
        rule("both", true),
        rule("both", false),
    );
    let config = good(&text).config;
    let links = config.screening.quarantine.links.as_ref().expect("links");
    assert_eq!(links.url, "https://held.test/a");
    assert!(links.rules.iter().map(|name| &**name).eq(["prizes"]));
    assert!(config.console.links.iter().all(|bind| !bind.tls));
}

/// A reader would let go on a virus that comes with a prize.
#[test]
fn a_rule_with_links_belongs_behind_those_that_stop_what_harms() {
    let links = "[quarantine]\ndigest = \"recipients\"\nlink_url = \"https://held.test\"\nlink_bind = \"[::1]:0\"\n";
    let prizes = "[[screen]]\nname = \"prizes\"\nwhen.words = \"lottery\"\nthen = \"hold\"\nrelease_by_link = true\n";
    let offers = prizes.replace("prizes", "offers");
    let programs = "[[screen]]\nwhen.kind = \"executable\"\nthen = \"refuse\"\n";
    let tagged = "[[screen]]\ntag = \"[x]\"\n";
    let scanner = "[scanner.clam]\nkind = \"clamd\"\naddress = \"/run/clamd\"\n";
    let infected = "[[screen]]\nwhen.scanner = \"clam: infected\"\nthen = \"refuse\"\n";
    for (rules, warned) in [
        (vec![prizes, &offers, tagged], 0),
        (vec![programs, prizes, &offers], 0),
        (vec![prizes, programs, &offers], 1),
        (vec![prizes, &offers, programs], 2),
        (vec![prizes, scanner], 1),
        (vec![infected, prizes, scanner], 0),
    ] {
        let warnings = good(&format!("{links}{}", rules.concat())).warnings;
        let of_links = warnings.iter().map(ToString::to_string);
        let of_links = of_links.filter(|warning| warning.contains("let go on by a link"));
        assert_eq!(of_links.count(), warned, "{rules:?}");
    }
}

#[test]
fn nobody_is_named_by_a_rule_who_does_not_exist() {
    let cases = [
        (
            "[domain.\"ours.test\"]\nroute = \"[192.0.2.7]\"\nrecipients = [\"ann\"]\n\
             [[screen]]\ncopy_to = \"ann@ours.test\"\nredirect_to = \"eve@ours.test\"\n",
            "nothing can be sent there: eve@ours.test: no such recipient here",
        ),
        (
            "[domain.\"shut.test\"]\ntype = \"blocked\"\n[[screen]]\ncopy_to = \"ann@shut.test\"\n",
            "Mail for ann@shut.test is not accepted here",
        ),
    ];
    for (text, expected) in cases {
        let told = bad(text).to_string();
        assert!(told.contains(expected), "{text}: {told}");
    }
}

#[test]
fn a_wrong_line_of_a_list_is_told_by_its_own_place() {
    let text = "[[screen]]\nwhen.words = \"file:words.txt\"\nthen = \"hold\"\n";
    let files = Memory::default().with("gatepost.toml", text);
    let files = files.with("words.txt", "fine\n/[/\nfine, too\n");
    let told = files.load().expect_err("a list that is wrong").to_string();
    assert!(told.contains("words.txt:2"), "{told}");
}

#[test]
fn what_rules_ask_for_is_checked_and_dmarc_is_respected_behind_them() {
    let screening = |text: &str| good(text).config.screening.clone();
    assert!(!screening("").asks());
    let of_rule = screening("[[screen]]\nwhen.dmarc = \"fail\"\nthen = \"hold\"\n");
    assert!(of_rule.checks.spf && of_rule.checks.dkim && of_rule.checks.dmarc);
    let spf = screening("authentication.spf = true\n");
    assert!(spf.checks.spf && !spf.checks.dkim && !spf.checks.dmarc);
    assert!(spf.asks() && spf.tells && !of_rule.tells);
    assert!(
        !spf.checks.arc
            && screening("[[screen]]\nwhen.arc = \"fail\"\nthen = \"hold\"\n")
                .checks
                .arc
    );
    let trusting = good("authentication.arc_trusted = \"list.test\"\n");
    let of_config = &trusting.config.screening;
    assert!(of_config.checks.arc && of_config.tells && of_config.arc_trusted.len() == 1);
    let warning = trusting.warnings[0].to_string();
    assert!(warning.contains("which is not checked"), "{warning}");
    let text = "[authentication]\ndmarc = \"respect\"\nid = \"mx.ours.test\"\n\
                [[screen]]\nwhen.from = \"friend.test\"\nthen = \"accept\"\n";
    let respect = screening(text);
    let names: Vec<&str> = respect
        .screens
        .rules()
        .iter()
        .map(|rule| &*rule.name)
        .collect();
    assert_eq!(
        names,
        [
            "screen 1",
            "dmarc reject",
            "dmarc unknown",
            "dmarc quarantine",
            "dmarc authors"
        ]
    );
    assert_eq!(
        respect.screens.rules()[1].place.to_string(),
        "gatepost.toml:2"
    );
    assert_eq!(respect.id.as_str(), "mx.ours.test");
}

#[test]
fn who_accepts_by_the_sender_alone_is_warned() {
    let warned = |when: &str| {
        let text = format!("[[screen]]\nwhen = {{ {when} }}\nthen = \"accept\"\n");
        let warnings = good(&text).warnings;
        let mut warnings = warnings.iter().map(ToString::to_string);
        warnings.any(|told| told.contains("anybody can write this sender"))
    };
    assert!(warned("from = \"partner.test\""));
    assert!(!warned("from = \"partner.test\", dmarc = \"pass\""));
    assert!(!warned("client = \"192.0.2.1\""));
}

#[test]
fn a_rule_asks_for_dns_lists_that_a_listener_has() {
    let rule = "[[screen]]\nwhen.dnsbl = \"list.test\"\nthen = \"hold\"\n";
    let told = bad(rule).to_string();
    assert!(
        told.contains("no listener asks the DNS list list.test"),
        "{told}"
    );
}
