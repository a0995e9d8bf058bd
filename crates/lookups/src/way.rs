//! Finds the way to a recipient's next hop, as delivery does.

use std::sync::Arc;

use config::Config;
use mail::Mailbox;
use route::{Plan, Routes, Site, TlsDemand};
use tokio::task::JoinSet;

use crate::resolvers::Resolvers;

/// How often routing may ask for more; it asks thrice at most.
const ROUNDS_MAX: usize = 3;

/// How much encryption mail for `recipient` demands: what its domain says, or its route, or the
/// general setting.
pub(crate) fn demand(config: &Config, site: &Site, recipient: &Mailbox) -> TlsDemand {
    let domain = recipient.host().domain();
    let settings = domain.and_then(|domain| config.domains.find(domain));
    config
        .routes
        .demand(&site.name, [settings.and_then(|settings| settings.tls)])
}

/// What is known about the way to `site` when all is asked that routing wants to know.
pub(crate) async fn plan(
    resolvers: &Arc<Resolvers>,
    routes: &Arc<Routes>,
    site: &Site,
    demand: TlsDemand,
) -> Plan {
    plan_with_answers(resolvers, routes, site, demand).await.0
}

/// The same, with all that was answered.
pub(crate) async fn plan_with_answers(
    resolvers: &Arc<Resolvers>,
    routes: &Arc<Routes>,
    site: &Site,
    demand: TlsDemand,
) -> (Plan, route::Answers) {
    let mut answers = route::Answers::new();
    let mut random = rand::random::<u64>;
    let mut plan = route::resolve(site, routes, demand, &answers, &mut random);
    for _ in 0..ROUNDS_MAX {
        let Plan::Ask(questions) = plan else {
            return (plan, answers);
        };
        let mut asked = JoinSet::new();
        for question in questions {
            let (resolvers, routes) = (Arc::clone(resolvers), Arc::clone(routes));
            asked.spawn(async move {
                let answer = resolvers.route_answer(&routes, &question).await;
                (question, answer)
            });
        }
        for (question, answer) in asked.join_all().await {
            answers.insert(question, answer);
        }
        plan = route::resolve(site, routes, demand, &answers, &mut random);
    }
    (plan, answers)
}
