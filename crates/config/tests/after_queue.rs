//! `[after_queue]`: a filter to which messages go, and the listener on which they come back.

mod memory;

use std::sync::Arc;

use delivery::Protocol;
use memory::{bad, good};

const FILTER: &str = "[after_queue]\nroute = \"amavis\"\nreturn_listener = \"back\"\n\
                      [route.amavis]\nhosts = \"[127.0.0.1]:10024\"\n";
const BACK: &str = "[listener.back]\nbind = \"127.0.0.1:10025\"\n";
const IN: &str = "[listener.in]\nbind = \"0.0.0.0:25\"\n";

#[test]
fn a_route_becomes_the_filter_and_a_listener_the_way_back() {
    let config = good(&format!("{FILTER}{BACK}{IN}")).config;
    let site = config.routes.filter().expect("a filter");
    assert_eq!(&*site.name, "route:amavis");
    let delivery = &config.deliveries[&site.name];
    assert_eq!(
        (delivery.protocol, delivery.is_filter),
        (Protocol::Lmtp, true)
    );
    let [back, strangers] = &config.listeners[..] else {
        panic!("two listeners");
    };
    let way_back = back.rules.way_back.as_ref().expect("the way back");
    assert_eq!(&*way_back.filter, "amavis");
    assert!(strangers.rules.way_back.is_none() && back.rules.forwards.entries().next().is_none());
    let (larger, usual) = (&back.session.limits, &strangers.session.limits);
    assert!(larger.message_size > usual.message_size);
    assert!(
        config
            .posture
            .to_string()
            .contains("the filter amavis on back")
    );

    let smtp = format!("{FILTER}protocol = \"smtp\"\n{BACK}");
    let config = good(&smtp).config;
    let delivery = &config.deliveries[&Arc::from("route:amavis")];
    assert_eq!(
        (delivery.protocol, delivery.is_filter),
        (Protocol::Smtp, true)
    );
}

#[test]
fn a_way_back_that_strangers_can_reach_does_not_start() {
    for (back, from, why) in [
        (
            "bind = \"0.0.0.0:10025\"",
            "",
            "strangers can reach [listener.back] at 0.0.0.0:10025",
        ),
        (
            "bind = [\"127.0.0.1:10025\", \"192.168.1.5:10025\"]",
            "",
            "strangers can reach [listener.back] at 192.168.1.5:10025",
        ),
        (
            "bind = \"0.0.0.0:10025\"",
            "from = [\"0.0.0.0/0\"]",
            "this configuration is an open relay",
        ),
        (
            "bind = \"0.0.0.0:10025\"",
            "from = [\"*.filter.test\"]",
            "`*.filter.test` is no address",
        ),
        (
            "bind = \"127.0.0.1:10025\"\nproxy_protocol_from = [\"192.168.1.9\"]",
            "",
            "`proxy_protocol_from` says nothing about the way back from a filter",
        ),
        (
            "bind = \"127.0.0.1:10025\"\nrelay.allow = [\"10.0.0.0/8\"]",
            "",
            "`allow` says nothing about the way back from a filter",
        ),
        (
            "bind = \"127.0.0.1:10025\"\nconnect.mode = \"all-except\"",
            "",
            "`mode` says nothing about the way back from a filter",
        ),
    ] {
        let text = FILTER.replace("[route", &format!("{from}\n[route"));
        let told = bad(&format!("{text}[listener.back]\n{back}\n")).to_string();
        assert!(told.contains(why), "{back} {from}: {told}");
    }
    let written = FILTER.replace("[route", "from = [\"192.168.1.9\"]\n[route");
    good(&format!(
        "{written}[listener.back]\nbind = \"192.168.1.5:10025\"\n"
    ));
}

#[test]
fn what_is_not_whole_or_leads_in_a_circle_is_refused() {
    for (text, why) in [
        (
            "[after_queue]\nreturn_listener = \"back\"\n".to_owned() + BACK,
            "[after_queue] has no `route`",
        ),
        (
            FILTER.replace("return_listener = \"back\"\n", "") + BACK,
            "[after_queue] has no `return_listener`",
        ),
        (
            FILTER.replace("route = \"amavis\"", "route = \"amavi\"") + BACK,
            "there is no [route.amavi]",
        ),
        (FILTER.to_owned() + IN, "there is no [listener.back]"),
        (
            format!("{FILTER}{BACK}[outbound]\nroute = \"amavis\"\n"),
            "mail that came back from the filter goes to it again",
        ),
        (
            format!("{FILTER}{BACK}[domain.\"ours.test\"]\nroute = \"amavis\"\n"),
            "mail that came back from the filter goes to it again",
        ),
    ] {
        let told = bad(&text).to_string();
        assert!(told.contains(why), "{text}: {told}");
    }
}
