//! What happens to a message is counted under its listener and its route.

mod facts;

use facts::{Facts, SIZE, metrics};
use metrics::{Format, Snapshot};

#[test]
fn all_that_happens_to_a_message_is_counted() {
    let metrics = metrics();
    let facts = Facts::new();
    facts.tell(&metrics);
    facts.tell(&metrics);
    let page = metrics.page(Format::Text, &Snapshot::default());
    let octets = 2 * SIZE;
    for expected in [
        "scanner_results_total{scanner=\"clam\",result=\"spam\"} 2".to_owned(),
        "scanner_results_total{scanner=\"clam\",result=\"reject\"} 2".to_owned(),
        "scanner_results_total{scanner=\"clam\",result=\"error\"} 0".to_owned(),
        "scanner_duration_seconds_count{scanner=\"clam\"} 2".to_owned(),
        "connections_total{listener=\"in\"} 2".to_owned(),
        "sessions_ended_total{listener=\"in\",end=\"quit\"} 2".to_owned(),
        "session_duration_seconds_bucket{le=\"0.5\",listener=\"in\"} 0".to_owned(),
        "session_duration_seconds_bucket{le=\"1.0\",listener=\"in\"} 2".to_owned(),
        "commands_total{listener=\"in\"} 10".to_owned(),
        "messages_received_total{listener=\"in\"} 2".to_owned(),
        format!("received_bytes_total{{listener=\"in\"}} {octets}"),
        format!("message_size_bytes_sum {octets}.0"),
        "recipients_accepted_total{listener=\"in\",grounds=\"our-domain\"} 2".to_owned(),
        "spool_commit_duration_seconds_bucket{le=\"0.005\"} 2".to_owned(),
        "recipients_tried_total{route=\"route:isp\",result=\"delivered\"} 2".to_owned(),
        "messages_sent_total{route=\"route:isp\"} 2".to_owned(),
        format!("sent_bytes_total{{route=\"route:isp\"}} {octets}"),
        "messages_tried_total{route=\"route:isp\",assurance=\"encrypted\"} 2".to_owned(),
        "queue_time_seconds_sum{route=\"route:isp\"} 40.0".to_owned(),
        "connect_duration_seconds_bucket{le=\"0.05\",route=\"route:isp\"} 2".to_owned(),
        "final_reply_duration_seconds_sum{route=\"route:isp\"} 4.0".to_owned(),
        "recipients_settled_total{fate=\"delivered\"} 2".to_owned(),
        "dns_questions_total{result=\"no-such-name\"} 2".to_owned(),
        "dns_questions_total{result=\"failed\"} 0".to_owned(),
        "dns_duration_seconds_bucket{le=\"0.005\"} 2".to_owned(),
    ] {
        let expected = format!("gatepost_{expected}");
        assert!(
            page.lines().any(|line| line == expected),
            "{expected} in\n{page}"
        );
    }
}

/// From a bar of a chart to what became of one message that is in it; the older format has no word
/// for that.
#[test]
fn a_bucket_of_a_route_names_the_last_message_in_it_on_the_page_of_openmetrics() {
    let metrics = metrics();
    Facts::new().tell(&metrics);
    let page = metrics.page(Format::OpenMetrics, &Snapshot::default());
    let id = mail::QueueId::new(mail::Timestamp::default(), 7);
    for (bucket, value) in [
        ("queue_time_seconds_bucket{le=\"60.0\"", "20.0"),
        ("connect_duration_seconds_bucket{le=\"0.05\"", "0.03"),
        ("final_reply_duration_seconds_bucket{le=\"2.5\"", "2.0"),
    ] {
        let expected =
            format!("gatepost_{bucket},route=\"route:isp\"}} 1 # {{queue_id=\"{id}\"}} {value}");
        assert!(
            page.lines().any(|line| line == expected),
            "{expected} in\n{page}"
        );
    }
    assert_eq!(page.matches(" # {").count(), 3, "{page}");
    let page = metrics.page(Format::Text, &Snapshot::default());
    assert!(!page.contains(" # {"), "{page}");
}
