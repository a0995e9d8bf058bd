use super::*;
use crate::address_list::{with_names, written};
use proptest::prelude::*;

/// As the metabase has it: values over several lines, properties in any order, entities, what is encrypted.
fn metabase(relay: &str) -> String {
    format!(
        "\u{feff}<?xml version =\"1.0\"?>\n<configuration xmlns=\"urn:microsoft-catalog:XML_Metabase_V64_0\">\n<MBProperty>\n\
<IIsSmtpService\tLocation =\"/LM/SmtpSvc\"\n\t\tMaxRecipients=\"100\"\n\t\tSmtpRemoteProgressiveRetry=\"15,30,60,240\"\n\t>\n</IIsSmtpService>\n\
<IIsSmtpServer\tLocation =\"/LM/SmtpSvc/1\"\n\t\tAdminACL=\"49634462f0000000a4000000\"\n\t\tAuthFlags=\"AuthAnonymous | AuthNTLM\"\n\
\t\tBadMailDirectory=\"C:\\Inetpub\\mailroot\\Badmail\"\n\t\tConnectionTimeout=\"600\"\n\t\tDefaultDomain=\"relay.example.com\"\n\
\t\tHopCount=\"15\"\n\t\tIPSecurity=\"{connect}\"\n\t\tLogFilePeriod=\"1\"\n\
\t\tLogPluginClsid=\"{{FF160663-DE82-11CF-BC0A-00AA006111E0}}\"\n\t\tLogType=\"1\"\n\t\tMaxConnections=\"2000000000\"\n\
\t\tMaxMessageSize=\"2097152\"\n\t\tMaxSessionSize=\"10485760\"\n\t\tRelayForAuth=\"-1\"\n\t\tRelayIpList=\"{relay}\"\n\
\t\tRouteAction=\"256\"\n\t\tRoutePassword=\"49634462500000000200000s3cret\"\n\t\tRouteUserName=\"relay&amp;co\"\n\t\tSecureBindings=\"\"\n\
\t\tSendNdrTo=\"postmaster\"\n\t\tServerBindings=\"192.168.1.10:25:\n\t\t\t:2525:\"\n\t\tServerComment=\"Default SMTP Virtual Server\"\n\
\t\tSmartHost=\"[192.0.2.1]\"\n\t\tSmartHostType=\"1\"\n\t\tSmtpRemoteDelayExpireMinutes=\"720\"\n\t\tSmtpRemoteNDRExpireMinutes=\"2880\"\n\t>\n\
\t<Custom\n\t\tName=\"MaxSmtpErrors\"\n\t\tID=\"36900\"\n\t\tValue=\"10\"\n\t\tType=\"DWORD\"\n\t/>\n</IIsSmtpServer>\n\
<IIsSmtpDomain\tLocation =\"/LM/SmtpSvc/1/Domain/example.com\"\n\t\tRouteAction=\"4098\"\n\t\tRouteActionString=\"[192.168.1.254]\"\n\t>\n</IIsSmtpDomain>\n\
<IIsSmtpDomain\tLocation =\"/LM/SmtpSvc/1/Domain/*.inner.example\"\n\t\tRouteAction=\"4194310\"\n\t\tRouteActionString=\"mx.inner.example\"\n\t>\n</IIsSmtpDomain>\n\
<IIsSmtpDomain\tLocation =\"/LM/SmtpSvc/1/Domain/apps.example.com\"\n\t\tRouteAction=\"16\"\n\t>\n</IIsSmtpDomain>\n\
<IIsSmtpDomain\tLocation =\"/LM/SmtpSvc/1/Domain/office.example\"\n\t\tRouteAction=\"4608\"\n\t\tAuthTurnList=\"office\"\n\t>\n</IIsSmtpDomain>\n\
<IIsSmtpServer\tLocation =\"/LM/SmtpSvc/2\"\n\t\tServerBindings=\":26:\"\n\t\tRelayForAuth=\"0\"\n\t\tHopCount=\"20\"\n\t>\n</IIsSmtpServer>\n\
<IIsSmtpDomain\tLocation =\"/LM/SmtpSvc/2/Domain/example.com\"\n\t\tRouteAction=\"4096\"\n\t>\n</IIsSmtpDomain>\n\
<IIsWebServer\tLocation =\"/LM/W3SVC/1\"\n\t\tServerBindings=\":80:\"\n\t>\n</IIsWebServer>\n</MBProperty>\n</configuration>\n",
        connect = written(&[("255.255.255.0", &["203.0.113.0"])], &[]),
    )
}

fn imported(text: &str) -> Imported {
    iis("MetaBase.xml", text.as_bytes(), &Environment::default()).expect("a configuration")
}

fn bare(imported: &Imported) -> String {
    let lines = imported.configuration.lines();
    let cut = lines.map(|line| line.split(" # ").next().unwrap_or("").trim_end());
    let kept = cut.filter(|line| !line.is_empty() && !line.starts_with('#'));
    kept.map(|line| format!("{line}\n")).collect()
}

fn listed() -> String {
    written(
        &[],
        &[
            ("255.255.255.255", &["192.168.1.254"]),
            ("255.255.0.0", &["10.1.0.0"]),
        ],
    )
}

#[test]
fn a_virtual_server_is_translated() {
    let imported = imported(&metabase(&listed()));
    let text = bare(&imported);
    for expected in [
        "hostname = \"relay.example.com\"\n",
        "[listener.default-smtp-virtual-server]\nbind = [\"192.168.1.10:25\", \"0.0.0.0:2525\"]\nauth = \"optional\"\n",
        "idle_timeout = \"600s\"\n",
        "[listener.default-smtp-virtual-server.connect]\nexcept = [\n  \"203.0.113.0/24\",\n]\n",
        "[relay]\nallow = [\n  \"10.1.0.0/16\",\n  \"192.168.1.254\",\n]\nsigned_in = true\n",
        "[domain.\"example.com\"]\nroute = [\"[192.168.1.254]\"]\n",
        "[domain.\"*.inner.example\"]\naccept_from = \"relay\"\nroute = [\"mx.inner.example\"]\ntls = \"require\"\nhelo_only = true\n",
        "[domain.\"apps.example.com\"]\ntype = \"local\"\ndrop_directory = \"/var/lib/gatepost/drop/apps.example.com\"\n",
        "[domain.\"office.example\".on_demand]\nusers = [\"office\"]\n",
        "message_size = \"2097152B\"\nsession_size = \"10485760B\"\nrecipients = 100\nerrors = 10\nhops = 15\n",
        "retry = [\"15m\", \"30m\", \"60m\", \"240m\"]\ndelay_notice = \"720m\"\nexpire = \"2880m\"\n",
        "copy_to = \"postmaster@relay.example.com\"\n",
        "user = \"relay&co\"\n",
        "direct_first = true\n",
        "format = \"w3c\"\nlisteners = [\"default-smtp-virtual-server\"]\nrotation = \"daily\"\n",
        "[listener.smtp-2]\nbind = [\"0.0.0.0:26\"]\n",
        "[listener.smtp-2.relay]\nmode = \"only-list\"\nallow = []\nsigned_in = false\n",
    ] {
        assert!(
            text.contains(expected),
            "{expected}\n{text}\n{}",
            imported.report
        );
    }
    assert!(
        !imported.configuration.contains("s3cret")
            && !imported.report.to_string().contains("s3cret")
    );
    assert!(!text.contains(":80\""));
}

#[test]
fn rows_name_the_line_of_their_property() {
    let text = metabase(&listed());
    let imported = imported(&text);
    for name in [
        "HopCount",
        "RelayIpList",
        "AdminACL",
        "SmartHost",
        "RoutePassword",
    ] {
        let line = 1 + text
            .lines()
            .position(|line| line.contains(&format!("\t{name}=")))
            .unwrap();
        let mut rows = imported.report.rows().iter();
        assert!(
            rows.any(|row| row.origin.name == name && row.origin.line == line),
            "{name}\n{}",
            imported.report
        );
    }
}

#[test]
fn all_except_is_left_out() {
    for relay in ["", &written(&[("255.255.255.255", &["203.0.113.1"])], &[])] {
        let imported = imported(&metabase(relay));
        let text = bare(&imported);
        assert!(
            imported.report.of(Fate::LeftOut).count() > 0,
            "{}",
            imported.report
        );
        assert!(!text.contains("all-except"), "{text}");
    }
}

#[test]
fn a_domain_that_one_server_alone_opens_is_open_to_nobody() {
    let only = metabase(&listed()).replace("/2/Domain/example.com", "/2/Domain/other.example");
    let text = bare(&imported(&only));
    for name in ["example.com", "other.example"] {
        let expected = format!("[domain.\"{name}\"]\naccept_from = \"relay\"\n");
        assert!(text.contains(&expected), "{expected}{text}");
    }
}

#[test]
fn who_may_connect_cannot_be_read_and_nobody_does() {
    let wrong = metabase(&listed()).replacen("IPSecurity=\"", "IPSecurity=\"18zz", 1);
    let text = bare(&imported(&wrong));
    let expected = "connect]\nmode = \"only-list\"\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_list_that_cannot_be_read_permits_nobody() {
    let imported = imported(&metabase("18000080nonsense"));
    assert!(
        bare(&imported).contains("[relay]\nallow = []\n"),
        "{}",
        imported.report
    );
}

#[test]
fn what_is_no_metabase_is_refused() {
    for text in [
        "",
        "<a/>",
        "<IIsSmtpServer",
        "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>",
    ] {
        assert!(
            iis("x", text.as_bytes(), &Environment::default()).is_err(),
            "{text}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_read_ends_in_a_configuration_or_a_refusal(at in 0usize..3000, noise in "[<>\"=/&;a-zA-Z0-9 \n]{0,30}") {
        let mut text = metabase(&listed());
        if text.is_char_boundary(at) && at < text.len() {
            text.insert_str(at, &noise);
        }
        if let Ok(imported) = iis("x", text.as_bytes(), &Environment::default()) {
            prop_assert!(config::parse("x", &imported.configuration, &Environment::default()).is_ok());
        }
    }
}

/// "All except the list below", of which a part is not known: with few who may connect, that is no open relay.
#[test]
fn who_is_excepted_has_to_be_known() {
    let except = |mask| {
        written(
            &[
                ("255.255.255.255", &["10.0.0.7"][..]),
                (mask, &["10.0.5.0"][..]),
            ],
            &[],
        )
    };
    let few = written(&[], &[("255.255.0.0", &["10.0.0.0"])]);
    let denied = written(&[("255.255.255.0", &["203.0.113.0"])], &[]);
    for (mask, all_but) in [("255.255.255.0", true), ("255.0.255.0", false)] {
        let text = metabase(&except(mask)).replace(&denied, &few);
        let imported = imported(&text);
        let text = bare(&imported);
        assert_eq!(
            text.contains(
                "[relay]\nmode = \"all-except\"\nexcept = [\"10.0.0.7\", \"10.0.5.0/24\"]"
            ),
            all_but,
            "{text}"
        );
        assert_eq!(text.contains("[relay]\nallow = []\n"), !all_but, "{text}");
    }
}

/// What IIS believed of reverse DNS anybody can make it say: a name is for people to write.
#[test]
fn names_on_a_list_are_told_and_not_taken_over() {
    let plain = written(&[], &[("255.255.255.255", &["10.0.0.7"])]);
    let imported = imported(&metabase(&with_names(&plain, 1, b"\0branch.example\0")));
    let text = bare(&imported);
    assert!(
        text.contains("10.0.0.7") && !text.contains("branch"),
        "{text}"
    );
    let report = imported.report.to_string();
    for said in ["these words can be read: branch.example.", "\"*.NAME\""] {
        assert!(report.contains(said), "{report}");
    }
}

#[test]
fn nothing_of_a_damaged_file_is_shown() {
    let text = metabase("").replace("</IIsSmtpService>", "</IIsSmtpService");
    let refused = iis("m.xml", text.as_bytes(), &Environment::default()).unwrap_err();
    assert!(
        !refused.0.contains("s3cret") && refused.0.len() < 60,
        "{refused}"
    );
}
