//! What the relay would do, and why: asked of the configuration in force, without doing it.

mod decisions;
mod relay;
mod send;
mod trials;
mod turns;

use super::routes::Routes;

/// What can be asked.
pub(super) fn with(routes: Routes) -> Routes {
    with_trials(routes)
        .ask(
            "/v1/relay/check",
            "Whether mail would be taken, by which line, and what screening says of a message",
            decisions::check,
        )
        .get(
            "/v1/relay/posture",
            "Who may relay by the configuration in force, and by which line",
            relay::posture,
        )
        .get(
            "/v1/relay/prove",
            "What the open-relay battery came to when it was played last",
            relay::last_proof,
        )
        .ask(
            "/v1/relay/prove",
            "Plays the open-relay battery against the configuration in force",
            relay::prove,
        )
}

/// Where mail would go, and how far it would come.
fn with_trials(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/route/{address}",
            "Where mail for an address goes, and how",
            trials::route_of,
        )
        .ask(
            "/v1/test/delivery",
            "How far mail for an address would come at each host; none is sent",
            trials::deliver,
        )
        .ask(
            "/v1/test/delivery/follow",
            "The same, each host as an event when it has been tried",
            trials::follow,
        )
        .ask(
            "/v1/test/dns",
            "What DNS says of this relay and of domains",
            trials::dns_of,
        )
        .ask(
            "/v1/doctor",
            "What around the relay keeps it from its work, each with its cure",
            trials::doctor,
        )
        .get(
            "/v1/test/send",
            "Whether a test message could be sent",
            send::may_send,
        )
        .post(
            "/v1/test/send",
            "Sends a test message, by the door by which programs of this machine come",
            send::send,
        )
}
