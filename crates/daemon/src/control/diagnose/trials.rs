//! Where mail would go, and how far it would come.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use mail::{Domain, Mailbox, ReversePath};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::turns::{in_time, turn};
use crate::api::{
    DeliveryEvent, DeliveryQuestion, DeliveryTested, DnsQuestion, DnsTested, DoctorFound,
    DoctorQuestion, RouteQuery, RouteShown,
};
use crate::control::events::{EventSender, Events, Gone};
use crate::control::{Answer, Trouble};
use crate::diagnosis::delivery::{self, Progress};
use crate::diagnosis::{Fault, dns, doctor, route};
use crate::shared::Shared;

/// How often somebody who follows hears something though nothing happens.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Addresses from which mail goes out, as somebody names them.
const ADDRESSES_MAX: usize = 32;
/// DNS lists that are asked at one time.
const LISTS_MAX: usize = 32;

/// `GET /v1/route/ADDRESS`
pub(super) async fn route_of(
    State(shared): State<Arc<Shared>>,
    UrlPath(address): UrlPath<String>,
    Query(query): Query<RouteQuery>,
) -> Answer<RouteShown> {
    let (address, from) = (recipient(&address)?, sender(&query.from)?);
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    let found = route::show(&inquiries, &from, &address);
    let ways = in_time(turn, found).await?;
    Ok(Json(RouteShown::of(&address, &ways)))
}

/// `POST /v1/test/delivery`
pub(super) async fn deliver(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<DeliveryQuestion>,
) -> Answer<DeliveryTested> {
    let (address, from) = (recipient(&question.address)?, sender(&question.from)?);
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    let tested = delivery::deliver(&inquiries, &from, &address, &|_| ());
    let ways = in_time(turn, tested).await?;
    Ok(Json(DeliveryTested::of(&address, &ways)))
}

/// `POST /v1/test/delivery/follow`
pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<DeliveryQuestion>,
) -> Result<Events<DeliveryEvent>, Trouble> {
    let (address, from) = (recipient(&question.address)?, sender(&question.from)?);
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    // As many at most as there are hosts.
    let (told, heard) = mpsc::unbounded_channel();
    let test = async move {
        let on = |progress: Progress<'_>| tell(&told, progress.into());
        let tested = delivery::deliver(&inquiries, &from, &address, &on);
        let end = match in_time(turn, tested).await {
            Ok(ways) => DeliveryEvent::End {
                tested: DeliveryTested::of(&address, &ways),
            },
            Err(Trouble(_, error)) => DeliveryEvent::Failed { error },
        };
        tell(&told, end);
    };
    let (sender, events) = Events::new();
    tokio::spawn(async move {
        // Whoever hangs up has nothing tried any longer.
        let mut tests = JoinSet::new();
        tests.spawn(test);
        let _gone = pass_on(heard, sender).await;
    });
    Ok(events)
}

fn tell(told: &UnboundedSender<DeliveryEvent>, event: DeliveryEvent) {
    let _nobody_follows = told.send(event);
}

async fn pass_on(
    mut heard: UnboundedReceiver<DeliveryEvent>,
    mut sender: EventSender<DeliveryEvent>,
) -> Result<(), Gone> {
    sender.keep_alive().await?;
    loop {
        match timeout(ALIVE_INTERVAL, heard.recv()).await {
            Err(_) => sender.keep_alive().await?,
            Ok(Some(event)) => sender.send(&event).await?,
            Ok(None) => return Ok(()),
        }
    }
}

/// `POST /v1/test/dns`
pub(super) async fn dns_of(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<DnsQuestion>,
) -> Answer<DnsTested> {
    let told = addresses(&question.addresses)?;
    let domain = question.domain.as_deref().map(|text| {
        let wrong = |why| Trouble::bad(format!("{}: {why}", mail::escaped(text)));
        Domain::parse(text.trim()).map_err(wrong)
    });
    let domain = domain.transpose()?;
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    let found = async {
        Ok::<_, Fault>(match &domain {
            Some(domain) => dns::look_at(&inquiries, domain, &told).await,
            None => dns::look(&inquiries, &told).await,
        })
    };
    let findings = in_time(turn, found).await?;
    Ok(Json(DnsTested::of(&findings)))
}

/// `POST /v1/doctor`
pub(super) async fn doctor(
    State(shared): State<Arc<Shared>>,
    Json(question): Json<DoctorQuestion>,
) -> Answer<DoctorFound> {
    if question.block_lists.len() > LISTS_MAX {
        return Err(Trouble::bad(format!("more than {LISTS_MAX} lists")));
    }
    let request = doctor::Request::named(
        addresses(&question.addresses)?,
        &question.probe,
        &question.time_server,
        &question.block_lists,
        Some(std::process::id()),
    );
    let request = request.map_err(Trouble::bad)?;
    let turn = turn(&shared)?;
    let inquiries = shared.services.active().inquiries();
    let examined = async { Ok(doctor::examine(&inquiries, &request).await) };
    Ok(Json(DoctorFound::of(&in_time(turn, examined).await?)))
}

fn addresses(named: &[String]) -> Result<Vec<IpAddr>, Trouble> {
    if named.len() > ADDRESSES_MAX {
        let why = format!("more than {ADDRESSES_MAX} addresses");
        return Err(Trouble::bad(why));
    }
    let parsed = |text: &String| {
        let wrong = |why| Trouble::bad(format!("{}: {why}", mail::escaped(text)));
        text.parse::<IpAddr>().map_err(wrong)
    };
    named.iter().map(parsed).collect()
}

pub(super) fn recipient(text: &str) -> Result<Mailbox, Trouble> {
    let wrong = |why| Trouble::bad(format!("{}: {why}", mail::escaped(text)));
    Mailbox::parse_recipient(text.trim()).map_err(wrong)
}

fn sender(text: &str) -> Result<ReversePath, Trouble> {
    let wrong = |why| Trouble::bad(format!("from {}: {why}", mail::escaped(text)));
    ReversePath::parse(text.trim().trim_matches(['<', '>'])).map_err(wrong)
}
