//! How DNS leads mail to a domain, and what it says of mail from there.

use lookups::Inquiries;
use mail::Domain;
use route::{Answer, Question};

use super::finding::{Finding, Mark};
use super::ours::{Ours, texts};

/// Where servers deliver to (RFC 5321 section 4.5.4.2), and where TLSA records stand.
const SMTP_PORT: u16 = 25;

/// What DNS says of one domain of the configuration.
pub(super) async fn look(inquiries: &Inquiries, ours: &Ours, domain: &Domain) -> Vec<Finding> {
    let (mut findings, hosts) = exchanges(inquiries, ours, domain).await;
    for host in &hosts {
        findings.push(addresses(inquiries, host).await);
        findings.push(tlsa(inquiries, host).await);
    }
    findings.push(sts(inquiries, domain, &hosts).await);
    findings.push(spf(inquiries, domain).await);
    findings
}

/// Its MX records, and the hosts that they name.
async fn exchanges(
    inquiries: &Inquiries,
    ours: &Ours,
    domain: &Domain,
) -> (Vec<Finding>, Vec<Domain>) {
    let finding = |mark, text: String| Finding::new(mark, domain, "MX", text);
    let (finding, hosts) = match inquiries.route_answer(&Question::Mx(domain.clone())).await {
        Answer::Mx { mut records, .. } => {
            records.sort_by_key(|(preference, _)| *preference);
            let hosts: Vec<Domain> = records
                .iter()
                .filter_map(|(_, host)| host.clone())
                .collect();
            if hosts.is_empty() {
                let text = "a null MX: no server sends mail here (RFC 7505)";
                (finding(Mark::Fail, text.to_owned()), hosts)
            } else {
                let text: Vec<String> = records
                    .iter()
                    .filter_map(|(preference, host)| {
                        Some(format!("{preference} {}", host.as_ref()?))
                    })
                    .collect();
                let text = text.join(", ");
                if lead_here(inquiries, ours, &hosts).await {
                    (finding(Mark::Ok, text), hosts)
                } else {
                    let text = format!("{text}: none leads to this relay");
                    (finding(Mark::Note, text), hosts)
                }
            }
        }
        Answer::NoData { .. } => {
            let text = "none: servers try the address of the domain itself";
            (
                finding(Mark::Warning, text.to_owned()),
                vec![domain.clone()],
            )
        }
        Answer::Failed(why) => (finding(Mark::CannotTell, why.into()), Vec::new()),
        Answer::NoSuchName | Answer::Addresses { .. } | Answer::Tlsa { .. } | Answer::MtaSts(_) => {
            let text = "no such domain".to_owned();
            (finding(Mark::Fail, text), Vec::new())
        }
    };
    (vec![finding], hosts)
}

async fn lead_here(inquiries: &Inquiries, ours: &Ours, hosts: &[Domain]) -> bool {
    for host in hosts {
        if leads_here(inquiries, ours, host).await {
            return true;
        }
    }
    false
}

async fn leads_here(inquiries: &Inquiries, ours: &Ours, host: &Domain) -> bool {
    match inquiries
        .route_answer(&Question::Addresses(host.clone()))
        .await
    {
        _ if ours.is_name(host) => true,
        Answer::Addresses { list, .. } => list.iter().any(|address| ours.is_address(*address)),
        Answer::NoData { .. }
        | Answer::NoSuchName
        | Answer::Failed(_)
        | Answer::Mx { .. }
        | Answer::Tlsa { .. }
        | Answer::MtaSts(_) => false,
    }
}

async fn addresses(inquiries: &Inquiries, host: &Domain) -> Finding {
    let finding = |mark, text| Finding::new(mark, host, "addresses", text);
    match inquiries
        .route_answer(&Question::Addresses(host.clone()))
        .await
    {
        Answer::Addresses { list, .. } => finding(Mark::Ok, texts(&list)),
        Answer::Failed(why) => finding(Mark::CannotTell, why.into()),
        Answer::NoData { .. }
        | Answer::NoSuchName
        | Answer::Mx { .. }
        | Answer::Tlsa { .. }
        | Answer::MtaSts(_) => finding(Mark::Fail, "none: no mail gets to this host".to_owned()),
    }
}

async fn tlsa(inquiries: &Inquiries, host: &Domain) -> Finding {
    let finding = |mark, text| Finding::new(mark, host, "TLSA", text);
    let question = Question::Tlsa {
        host: host.clone(),
        port: SMTP_PORT,
    };
    match inquiries.route_answer(&question).await {
        Answer::Tlsa { records, .. } if records.iter().any(route::TlsaRecord::is_usable) => {
            finding(Mark::Ok, format!("records: {}", records.len()))
        }
        Answer::Tlsa { .. } => finding(
            Mark::Warning,
            "records, none of which can be used for mail (RFC 7672 section 3.1)".to_owned(),
        ),
        Answer::Failed(why) => finding(Mark::CannotTell, why.into()),
        Answer::NoData { .. }
        | Answer::NoSuchName
        | Answer::Mx { .. }
        | Answer::Addresses { .. }
        | Answer::MtaSts(_) => {
            let without = inquiries.without_dnssec().await;
            let text = without.map_or_else(
                || "none".to_owned(),
                |why| format!("none that can be believed: {why}"),
            );
            finding(Mark::Note, text)
        }
    }
}

/// RFC 8461: a record in DNS, and a policy at a web server.
async fn sts(inquiries: &Inquiries, domain: &Domain, hosts: &[Domain]) -> Finding {
    let finding = |mark, text: &str| Finding::new(mark, domain, "MTA-STS", text);
    let texts = match inquiries.texts(&format!("_mta-sts.{domain}")).await {
        Ok(texts) => texts,
        Err(why) => return finding(Mark::CannotTell, &why),
    };
    if !texts.iter().any(|text| text.starts_with("v=STSv1")) {
        return finding(Mark::Note, "no policy");
    }
    let question = Question::MtaSts(domain.clone());
    let policy = match inquiries.route_answer(&question).await {
        Answer::MtaSts(Ok(policy)) => policy,
        other => {
            let why = match &other {
                Answer::MtaSts(Err(flaw)) => &*flaw.why,
                _ => "it cannot be fetched now",
            };
            let text = format!("a record, and no policy behind it that counts: {why}");
            return finding(Mark::Fail, &text);
        }
    };
    match hosts.iter().find(|host| !policy.lists(host)) {
        Some(host) => finding(
            Mark::Fail,
            &format!("the policy does not list {host}: servers that heed it do not deliver there"),
        ),
        None => finding(Mark::Ok, "a policy that lists every MX"),
    }
}

/// RFC 7208 section 3.2: one record; more than one is an error of the domain (section 4.5).
async fn spf(inquiries: &Inquiries, domain: &Domain) -> Finding {
    let finding = |mark, text: &str| Finding::new(mark, domain, "SPF", text);
    let texts = match inquiries.texts(domain.as_str()).await {
        Ok(texts) => texts,
        Err(why) => return finding(Mark::CannotTell, &why),
    };
    let records: Vec<&str> = (texts.iter())
        .map(|text| &**text)
        .filter(|text| is_spf(text))
        .collect();
    match records.as_slice() {
        [] => finding(Mark::Warning, "none: many servers doubt mail from here"),
        [record] => finding(Mark::Ok, record),
        [..] => finding(Mark::Fail, "several records, which count as an error"),
    }
}

/// RFC 7208 section 4.5: "exactly "v=spf1", either alone or followed by a space"; section 12 has it
/// in any case of letters.
fn is_spf(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower == "v=spf1" || lower.starts_with("v=spf1 ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_spf_record_begins_so_and_not_otherwise() {
        for (text, expected) in [
            ("v=spf1", true),
            ("V=SPF1 -all", true),
            ("v=spf10 -all", false),
            ("v=spf1-all", false),
            (" v=spf1", false),
        ] {
            assert_eq!(is_spf(text), expected, "{text}");
        }
    }
}
