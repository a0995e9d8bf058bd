//! What DNS says of us and of domains.

use askama::Template;
use daemon::api::{DnsFinding, DnsQuestion, DnsTested};

use super::TABS;
use crate::cx::Cx;
use crate::page::{Page, Section};
use crate::trouble::Trouble;
use crate::words::{self, Mark};

#[derive(Template)]
#[template(path = "dns.html")]
struct Dns {
    tabs: &'static [(&'static str, &'static str)],
    domain: String,
    was_asked: bool,
    findings: Vec<(DnsFinding, Mark)>,
    why_not: Option<String>,
}

/// `GET /diagnose/dns`
pub(crate) async fn dns(cx: Cx) -> Result<Page, Trouble> {
    let domain = cx.query.get("domain").to_owned();
    let was_asked = cx.query.has("ask") || !domain.is_empty();
    let question = DnsQuestion {
        domain: Some(domain.clone()).filter(|domain| !domain.is_empty()),
        addresses: Vec::new(),
    };
    let asked = match was_asked {
        true => Some(cx.api.post::<DnsTested>("/v1/test/dns", &question).await),
        false => None,
    };
    let (findings, why_not) = match asked {
        None => (Vec::new(), None),
        Some(Ok(tested)) => (tested.findings, None),
        Some(Err(trouble)) if trouble.status.is_client_error() => (Vec::new(), Some(trouble.why)),
        Some(Err(trouble)) => return Err(trouble),
    };
    let marked = |finding: DnsFinding| {
        let mark = words::found(&finding.result);
        (finding, mark)
    };
    let page = Dns {
        tabs: &TABS,
        domain,
        was_asked,
        findings: findings.into_iter().map(marked).collect(),
        why_not,
    };
    Page::still(Section::Diagnose, "DNS", &page)
}
