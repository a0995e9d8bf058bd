use mail::{Delivery, Domain, Outcome, Reply, ReversePath};
use queue::{JobReport, Reach};
use spool::{Change, Commit, Model, NewMessage, Settled, Spool, SpoolError};

use super::*;
use crate::sample::{id, message};
use crate::{Composition, Step};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn dispatch() -> Dispatch {
    let text = "[domain.\"a.example\"]\nroute = \"192.0.2.1\"\n";
    let environment = config::Environment {
        hostname: Domain::parse("relay.example").ok(),
        addresses: Vec::new(),
    };
    let config = config::parse("gatepost.toml", text, &environment);
    let config = config.unwrap_or_else(|why| panic!("{why}")).config;
    let mut dispatch = Dispatch::new(Arc::new(Setup::new(config)), 7);
    let domains = Vec::new();
    dispatch.handle(NOW, Event::Queue(queue::Event::Started { domains }));
    let first = dispatch.take_actions();
    assert!(matches!(first[..], [Action::LoadBouncing(_)]));
    let result = Ok(Vec::new());
    dispatch.handle(NOW, Event::Queue(queue::Event::BouncingLoaded { result }));
    dispatch
}

fn stored(new: &NewMessage) -> Event {
    Event::Queue(queue::Event::Stored {
        message: Arc::clone(&new.message),
        recipients: new.recipients.clone(),
        content: None,
    })
}

/// The agent that was started, and nothing else.
fn started(dispatch: &mut Dispatch) -> Box<Agent> {
    let mut actions = dispatch.take_actions();
    match (actions.pop(), actions.pop()) {
        (Some(Action::Start(agent)), None) => agent,
        _ => panic!("no agent was started"),
    }
}

fn delivered(agent: AgentId) -> Event {
    let reply = Reply::new(250, 2, 0, "taken");
    let host = Some("mx.a.example".into());
    let delivered = Outcome::Delivered(Delivery { reply, host });
    Event::Queue(queue::Event::JobEnded {
        agent,
        report: JobReport {
            results: vec![(0, delivered)],
            reach: Reach::ToTheEnd,
            reusable: true,
            dsn_passed: Vec::new(),
        },
    })
}

fn composed(dispatch: &mut Dispatch) -> (u64, Composition) {
    let found = dispatch
        .take_actions()
        .into_iter()
        .find_map(|action| match action {
            Action::Compose {
                number,
                composition,
            } => Some((number, composition)),
            _ => None,
        });
    found.expect("nothing is to be composed")
}

fn to_commit(dispatch: &mut Dispatch) -> Option<(u64, spool::Settlement)> {
    dispatch
        .take_actions()
        .into_iter()
        .find_map(|action| match action {
            Action::Commit { number, settlement } => Some((number, settlement)),
            _ => None,
        })
}

/// Its sender wants to hear of success.
#[test]
fn what_was_delivered_before_a_stop_is_written_down_with_its_notice_of_success() {
    let (mut dispatch, spool) = (dispatch(), Model::new());
    let new = message(1, &["bob@a.example"]);
    spool.commit(vec![Change::Store(new.clone())]);
    dispatch.handle(NOW, stored(&new));
    let agent = started(&mut dispatch).id();
    // Told before the stop has no more time, and taken after.
    dispatch.handle(NOW, Event::Stop(Stop::Now));
    assert!(matches!(dispatch.take_actions()[..], [Action::EndAgents]));
    dispatch.handle(NOW, delivered(agent));
    let in_order = false;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    assert!(!dispatch.is_done());
    let (number, composition) = composed(&mut dispatch);
    let moment = queue::Moment::of(NOW);
    let result = Some(composition.compose(moment, &mut || id(9), &spool));
    dispatch.handle(NOW, Event::Composed { number, result });
    let (number, settlement) = to_commit(&mut dispatch).unwrap();
    assert_eq!(settlement.recipients, [(0, Settled::Done)]);
    let [notice] = &settlement.notices[..] else {
        panic!("{settlement:?}")
    };
    assert_eq!(notice.message.reverse_path, ReversePath::Null);
    assert!(!dispatch.is_done(), "the log is still to say so");
    let commit = Commit::Applied { recipients: 1 };
    dispatch.handle(NOW, Event::Committed { number, commit });
    let told = dispatch.take_actions();
    assert!(matches!(
        told[..],
        [
            Action::Log(Fact::Settled { .. }),
            Action::Log(Fact::Notice { .. })
        ]
    ));
    assert!(dispatch.is_done());
}

#[test]
fn a_stop_that_has_no_more_time_waits_for_a_notice_no_longer_than_it_may() {
    let mut dispatch = dispatch();
    dispatch.handle(NOW, stored(&message(1, &["bob@a.example"])));
    let agent = started(&mut dispatch).id();
    dispatch.handle(NOW, delivered(agent));
    dispatch.handle(NOW, Event::Stop(Stop::Now));
    let in_order = true;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    let deadline = dispatch.deadline().unwrap();
    dispatch.on_time(deadline - Duration::from_millis(1));
    assert!(!dispatch.is_done());
    dispatch.take_actions();
    dispatch.on_time(deadline);
    assert!(matches!(
        dispatch.take_actions()[..],
        [Action::Log(Fact::NoticesCutOff)]
    ));
    assert!(dispatch.is_done());
}

/// Gives an agent that is about to leave a second job.
fn late_job(dispatch: &mut Dispatch) -> AgentId {
    dispatch.handle(NOW, stored(&message(1, &["bob@a.example"])));
    let agent = started(dispatch).id();
    dispatch.handle(NOW, delivered(agent));
    dispatch.take_actions();
    dispatch.handle(NOW, stored(&message(2, &["cat@a.example"])));
    let actions = dispatch.take_actions();
    assert!(matches!(
        actions[..],
        [Action::Tell {
            order: Order::Give(_),
            ..
        }]
    ));
    agent
}

#[test]
fn a_job_that_its_agent_never_heard_of_begins_anew() {
    let mut dispatch = dispatch();
    let agent = late_job(&mut dispatch);
    let in_order = true;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    let mut anew = started(&mut dispatch);
    assert_eq!(anew.job().unwrap().message.id, id(2));
    assert!(matches!(
        anew.next_step(queue::Moment::of(NOW)),
        Step::Identify
    ));
}

#[test]
fn an_agent_in_place_of_one_that_has_left_hurries_as_that_one_was_to() {
    for hurries in [false, true] {
        let mut dispatch = dispatch();
        let agent = late_job(&mut dispatch);
        if hurries {
            dispatch.act(NOW, queue::Action::Hurry { agent });
            dispatch.take_actions();
        }
        let in_order = true;
        dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
        let actions = dispatch.take_actions();
        let told = matches!(
            actions[..],
            [
                Action::Start(_),
                Action::Tell {
                    order: Order::Hurry,
                    ..
                }
            ]
        );
        assert_eq!(told, hurries);
    }
}

#[test]
fn a_job_that_brings_its_agent_down_counts_as_an_attempt() {
    let mut dispatch = dispatch();
    let agent = late_job(&mut dispatch);
    let in_order = false;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    dispatch.on_time(NOW + Duration::from_secs(1));
    let (_, settlement) = to_commit(&mut dispatch).unwrap();
    assert_eq!(settlement.id, id(2));
    assert!(matches!(
        settlement.recipients[..],
        [(0, Settled::Again { tries: 1, .. })]
    ));
}

#[test]
fn a_message_whose_notice_cannot_be_composed_is_held() {
    for broken in [true, false] {
        let mut dispatch = dispatch();
        dispatch.handle(NOW, stored(&message(1, &["bob@a.example"])));
        let agent = started(&mut dispatch).id();
        dispatch.handle(NOW, delivered(agent));
        let (number, _) = composed(&mut dispatch);
        let result = (!broken).then(|| Err(SpoolError::Full));
        dispatch.handle(NOW, Event::Composed { number, result });
        let settlement = to_commit(&mut dispatch).map(|(_, settlement)| settlement);
        // Who has it is done with; a spool that has failed is asked again.
        let done = vec![(0, Settled::Done)];
        assert_eq!(settlement.map(|s| s.recipients), broken.then_some(done));
        assert_eq!(dispatch.counts().settling, 1);
    }
}

#[test]
fn a_settlement_that_was_not_written_is_written_again() {
    let mut dispatch = dispatch();
    let mut new = message(1, &["bob@a.example"]);
    new.recipients[0].parameters.notify = None;
    dispatch.handle(NOW, stored(&new));
    let agent = started(&mut dispatch).id();
    dispatch.handle(NOW, delivered(agent));
    let (number, _) = to_commit(&mut dispatch).unwrap();
    let commit = Commit::Unknown(SpoolError::Io("sync".into()));
    dispatch.handle(NOW, Event::Committed { number, commit });
    let later = NOW + Duration::from_secs(60);
    dispatch.on_time(later);
    let (number, _) = to_commit(&mut dispatch).unwrap();
    let commit = Commit::Applied { recipients: 1 };
    dispatch.handle(later, Event::Committed { number, commit });
    assert_eq!(dispatch.counts().settling, 0);
}

#[test]
fn while_stopping_nothing_new_goes_out() {
    let mut dispatch = dispatch();
    dispatch.handle(NOW, stored(&message(1, &["bob@a.example"])));
    let agent = started(&mut dispatch).id();
    dispatch.handle(NOW, Event::Stop(Stop::Draining));
    let actions = dispatch.take_actions();
    assert!(matches!(
        actions[..],
        [Action::Tell {
            order: Order::Dismiss,
            ..
        }]
    ));
    dispatch.handle(NOW, stored(&message(2, &["cat@a.example"])));
    assert!(dispatch.take_actions().is_empty());
    assert!(!dispatch.is_done());
    let in_order = true;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    let first = to_commit(&mut dispatch);
    assert!(first.is_some(), "the attempt that was cut off is told of");
}

/// It has not failed: the next start sends it, with no try counted.
#[test]
fn what_a_leaving_agent_is_not_told_at_a_stop_waits_as_it_did() {
    let mut dispatch = dispatch();
    let mut first = message(1, &["bob@a.example"]);
    first.recipients[0].parameters.notify = None;
    dispatch.handle(NOW, stored(&first));
    let agent = started(&mut dispatch).id();
    dispatch.handle(NOW, Event::Stop(Stop::Draining));
    dispatch.handle(NOW, stored(&message(2, &["cat@a.example"])));
    dispatch.handle(NOW, delivered(agent));
    let (number, settlement) = to_commit(&mut dispatch).unwrap();
    assert_eq!(settlement.id, id(1));
    let in_order = true;
    dispatch.handle(NOW, Event::AgentLeft { agent, in_order });
    let commit = Commit::Applied { recipients: 1 };
    dispatch.handle(NOW, Event::Committed { number, commit });
    assert!(to_commit(&mut dispatch).is_none());
    assert!(dispatch.is_done());
}
