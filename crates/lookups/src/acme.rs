//! What is said to an authority that gives certificates by ACME (RFC 8555, RFC 9773).

use std::error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use config::{Acme, AcmeBinding, AcmeChallenge};
use http_body_util::{BodyExt as _, Full};
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, Request, Response, Uri};
use instant_acme::{
    Account, AccountBuilder, AuthorizationHandle, AuthorizationStatus, BodyWrapper, BytesResponse,
    CertificateIdentifier, ChallengeType, Error, ExternalAccountKey, HttpClient, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, Problem, RenewalInfo, RetryPolicy,
};
use mail::Timestamp;
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use tls::{CertificateKey, Failure, Window};

use crate::https::{Cost, Https};
use crate::resolver::Resolver;
use crate::secret;

/// One request, of some ten for a certificate.
const COST: Cost = Cost {
    timeout: Duration::from_secs(30),
    body_bytes_max: 1 << 20,
};

/// How often a step is taken again because the authority did not like its nonce, beside what the
/// library does. RFC 8555 section 6.5: "the client SHOULD retry the request".
const NONCES_MAX: usize = 10;

/// A certificate is for one name, for which an authority asks for one proof, and may ask for more.
const AUTHORIZATIONS_MAX: usize = 10;

/// No token is longer.
const TOKEN_OCTETS_MAX: usize = 512;

/// An authority that wants us to come again later than this is asked then all the same. The library
/// reckons with moments, of which there is none so late as a header can name.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the authority may take to look at a proof, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(120));

/// Of what an authority says, so many characters are told.
const WORDS_MAX: usize = 600;

/// Takes a step again while its nonce is refused.
macro_rules! again {
    ($step:expr) => {{
        let mut left = NONCES_MAX;
        loop {
            match $step.await {
                Err(error) if left > 0 && has_type(&error, "badNonce") => left -= 1,
                ended => break ended,
            }
        }
    }};
}

/// Asks the authorities of one configuration.
#[derive(Clone)]
pub struct AcmeClient {
    https: Https,
    settings: Arc<Acme>,
}

/// An account with an authority.
pub struct AcmeAccount {
    account: Account,
    settings: Arc<Acme>,
}

/// What a certificate is wanted for.
pub struct AcmeWanted<'a> {
    /// The name, in lower case, perhaps with `*.` in front.
    pub name: &'a str,
    /// Its key.
    pub key: &'a CertificateKey,
    /// The certificate (DER) in whose place it comes, where the authority has a say in renewal.
    pub replaces: Option<&'a [u8]>,
}

/// What proves that a name is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcmeProof {
    /// `text` behind `/.well-known/acme-challenge/` and `token`.
    Http {
        /// The last part of the path.
        token: String,
        /// The whole body.
        text: String,
    },
    /// A certificate for `name` with this digest in it.
    TlsAlpn {
        /// The name.
        name: String,
        /// SHA-256 of the key authorization.
        digest: Vec<u8>,
    },
    /// A TXT record.
    Dns {
        /// The name of the record.
        record: String,
        /// What it says.
        text: String,
    },
}

/// Where proofs are shown. One at a time.
pub trait AcmeProver: Sync {
    /// Shows it from now on.
    ///
    /// # Errors
    /// Why it cannot be shown.
    fn show(&self, proof: &AcmeProof) -> impl Future<Output = Result<(), String>> + Send;

    /// Shows it no longer.
    fn withdraw(&self, proof: &AcmeProof) -> impl Future<Output = ()> + Send;
}

/// Why there is no certificate, or no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeFault {
    /// What it means for the next try.
    pub failure: Failure,
    /// For people. Holds no secret.
    pub why: String,
    /// The authority does not know our account any more.
    pub is_account_gone: bool,
}

impl AcmeFault {
    /// Somebody said no, or could not do what is needed.
    pub fn refused(why: impl Into<String>) -> Self {
        Self {
            failure: Failure::Refused,
            why: why.into(),
            is_account_gone: false,
        }
    }

    fn of(error: &Error, what: &str) -> Self {
        let failure = match error {
            Error::Api(_) if has_type(error, "badNonce") => Failure::Unreachable,
            Error::Other(_) if let Some(limit) = limit(error) => Failure::Limited(limit.wait),
            Error::Api(problem) if problem.status.is_some_and(|status| status >= 500) => {
                Failure::Unreachable
            }
            Error::Other(_) | Error::Json(_) | Error::Timeout(_) | Error::Http(_) => {
                Failure::Unreachable
            }
            _ => Failure::Refused,
        };
        let why = match error {
            Error::Api(problem) => said(problem),
            Error::Json(_) => "the authority does not answer as one".to_owned(),
            Error::Timeout(_) => "the authority takes too long".to_owned(),
            other => other.to_string(),
        };
        Self {
            failure,
            why: format!("{what}: {}", told(&why)),
            is_account_gone: has_type(error, "accountDoesNotExist"),
        }
    }
}

impl fmt::Display for AcmeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl error::Error for AcmeFault {}

impl AcmeClient {
    /// Asks over HTTPS, trusting whom `settings` says.
    ///
    /// # Errors
    /// The authorities for HTTPS cannot be read, or the directory's URL is none.
    pub fn new(resolver: Arc<Resolver>, settings: Arc<Acme>) -> Result<Self, String> {
        is_url(&settings.directory)?;
        let https = Https::new(resolver, settings.ca.as_deref())?;
        Ok(Self { https, settings })
    }

    /// What keeps the authority from giving what is configured, as far as its directory says, and
    /// whether what it wants to see of us can be read.
    ///
    /// # Errors
    /// That, or why it cannot be asked.
    pub async fn look(&self) -> Result<(), String> {
        self.binding()?;
        let answer = self.https.get(&self.settings.directory, COST).await?;
        let directory: Result<Directory, _> = serde_json::from_slice(&answer.body);
        let directory = directory.map_err(|_| {
            let status = answer.status;
            format!(
                "{} is no ACME directory (status {status})",
                self.settings.directory
            )
        })?;
        check_profile(
            &self.settings,
            directory.meta.profiles.keys().map(|name| &**name),
        )
    }

    /// The account that `kept` is of, as it was given before; without that a new one is made. What is to
    /// be kept from now on, which is secret, is given where it is another than before.
    ///
    /// # Errors
    /// There is none.
    pub async fn account(
        &self,
        kept: Option<&[u8]>,
    ) -> Result<(AcmeAccount, Option<Vec<u8>>), AcmeFault> {
        let opened = |account| AcmeAccount {
            account,
            settings: Arc::clone(&self.settings),
        };
        let kept = kept.and_then(|text| serde_json::from_slice::<Kept>(text).ok());
        let known = kept.and_then(|kept| {
            let credentials = serde_json::from_value(kept.credentials.clone()).ok()?;
            Some((kept, credentials))
        });
        let Some((mut kept, credentials)) = known else {
            let (account, kept) = self.new_account().await?;
            return Ok((opened(account), Some(kept.written()?)));
        };
        let account = self.builder().from_credentials(credentials).await;
        let account = account.map_err(|error| AcmeFault::of(&error, "the account"))?;
        let contact = self.contact();
        if kept.contact == contact {
            return Ok((opened(account), None));
        }
        let urls: Vec<&str> = contact.iter().map(String::as_str).collect();
        if let Err(error) = again!(account.update_contacts(&urls)) {
            // Nothing else hangs on it. It is told again with whatever comes next.
            let fault = AcmeFault::of(&error, "the contact");
            tracing::warn!(%fault, "the authority does not take whom it may write to");
            return Ok((opened(account), None));
        }
        kept.contact = contact;
        Ok((opened(account), Some(kept.written()?)))
    }

    async fn new_account(&self) -> Result<(Account, Kept), AcmeFault> {
        let contact = self.contact();
        let urls: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &urls,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let binding = self.binding().map_err(AcmeFault::refused)?;
        let directory = &self.settings.directory;
        let made = again!(
            self.builder()
                .create(&new, directory.clone(), binding.as_ref())
        );
        let (account, credentials) = made.map_err(|error| AcmeFault::of(&error, "no account"))?;
        let credentials = serde_json::to_value(&credentials).map_err(|_| unwritten())?;
        let kept = Kept {
            contact,
            credentials,
        };
        Ok((account, kept))
    }

    fn builder(&self) -> AccountBuilder {
        Account::builder_with_http(Box::new(Http(self.https.clone())))
    }

    /// Whom the authority may write to, as URLs.
    fn contact(&self) -> Vec<String> {
        let contact = self.settings.contact.iter();
        contact.map(|contact| format!("mailto:{contact}")).collect()
    }

    /// The key by which a new account is bound to one that the authority knows.
    fn binding(&self) -> Result<Option<ExternalAccountKey>, String> {
        let Some(AcmeBinding { key_id, key }) = &self.settings.binding else {
            return Ok(None);
        };
        let key = secret::read(key)?;
        // Some authorities write it with padding, or by the other alphabet.
        let key = key.trim().trim_end_matches('=');
        let key = key.replace('+', "-").replace('/', "_");
        let key = URL_SAFE_NO_PAD.decode(key);
        let key = key.map_err(|_| "tls.acme.eab_key is not base64url")?;
        Ok(Some(ExternalAccountKey::new(key_id.clone(), &key)))
    }
}

/// What is kept of an account.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whom the authority may write to, as it was told.
    contact: Vec<String>,
    /// As the library writes them.
    credentials: serde_json::Value,
}

impl Kept {
    fn written(&self) -> Result<Vec<u8>, AcmeFault> {
        serde_json::to_vec(self).map_err(|_| unwritten())
    }
}

fn unwritten() -> AcmeFault {
    AcmeFault::refused("the account cannot be written down")
}

impl AcmeAccount {
    /// When the authority suggests to renew the certificate `own` (DER), and for how long that holds;
    /// `None`: it says nothing, or nothing that can be used (RFC 9773).
    pub async fn window(&self, own: &[u8]) -> Option<(Window, Duration)> {
        let own = CertificateDer::from(own);
        let id = CertificateIdentifier::try_from(&own).ok()?;
        let asked = self.account.renewal_info(&id).await;
        if let Err(error) = &asked
            && !matches!(error, Error::Unsupported(_))
        {
            let why = AcmeFault::of(error, "no advice").why;
            tracing::debug!(why, "when to renew");
        }
        let (info, again) = asked.ok()?;
        Some((window(&info)?, again))
    }

    /// Orders a certificate, proves what the authority wants proven, and gives the chain (PEM).
    ///
    /// # Errors
    /// There is none.
    pub async fn obtain(
        &self,
        wanted: &AcmeWanted<'_>,
        prover: &impl AcmeProver,
    ) -> Result<String, AcmeFault> {
        let profiles = self.account.profiles();
        check_profile(&self.settings, profiles.map(|profile| profile.name))
            .map_err(AcmeFault::refused)?;
        let request = wanted
            .key
            .request(wanted.name)
            .map_err(AcmeFault::refused)?;
        let mut order = self.order(wanted).await?;
        let given = order.state().profile.as_deref();
        if let Some((asked, given)) = self.settings.profile.as_deref().zip(given)
            && asked != given
        {
            let why = format!(
                "the authority made an order by the profile {}, not {asked}",
                told(given)
            );
            return Err(AcmeFault::refused(why));
        }
        self.prove(wanted.name, &mut order, prover).await?;
        again!(order.finalize_csr(&request))
            .map_err(|error| AcmeFault::of(&error, "the request"))?;
        let chain = again!(chain(&mut order));
        chain.map_err(|error| AcmeFault::of(&error, "the certificate"))
    }

    async fn order(&self, wanted: &AcmeWanted<'_>) -> Result<Order, AcmeFault> {
        let names = [Identifier::Dns(wanted.name.to_owned())];
        let mut new = NewOrder::new(&names);
        if let Some(profile) = &self.settings.profile {
            new = new.profile(profile);
        }
        let plain = |error: &Error| AcmeFault::of(error, "the order");
        let before = wanted.replaces.map(CertificateDer::from);
        let replaces = before
            .as_ref()
            .and_then(|own| CertificateIdentifier::try_from(own).ok());
        let Some(replaces) = replaces else {
            return again!(self.account.new_order(&new)).map_err(|error| plain(&error));
        };
        let with = match &self.settings.profile {
            Some(profile) => NewOrder::new(&names).profile(profile),
            None => NewOrder::new(&names),
        };
        let with = with.replaces(replaces);
        match again!(self.account.new_order(&with)) {
            // RFC 9773 section 5: it may be replaced already, or not be known; and an authority may
            // pass over the wish. That costs no certificate.
            Err(error) if limit(&error).is_none() && !has_type(&error, "rateLimited") => {
                again!(self.account.new_order(&new)).map_err(|error| plain(&error))
            }
            ordered => ordered.map_err(|error| plain(&error)),
        }
    }

    /// Proves what is not proven yet, one after the other.
    async fn prove(
        &self,
        name: &str,
        order: &mut Order,
        prover: &impl AcmeProver,
    ) -> Result<(), AcmeFault> {
        let mut shown = Vec::new();
        let proven = self.prove_by(name, order, prover, &mut shown).await;
        for proof in &shown {
            prover.withdraw(proof).await;
        }
        proven
    }

    async fn prove_by(
        &self,
        name: &str,
        order: &mut Order,
        prover: &impl AcmeProver,
        shown: &mut Vec<AcmeProof>,
    ) -> Result<(), AcmeFault> {
        if order.state().authorizations.len() > AUTHORIZATIONS_MAX {
            let why = format!("the authority wants more than {AUTHORIZATIONS_MAX} proofs");
            return Err(AcmeFault::refused(why));
        }
        again!(fetch(order)).map_err(|error| AcmeFault::of(&error, "the authorisations"))?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization =
                authorization.map_err(|error| AcmeFault::of(&error, "an authorisation"))?;
            self.prove_one(name, authorization, prover, shown).await?;
        }
        if order.state().status == OrderStatus::Ready {
            return Ok(());
        }
        let fault = match again!(order.poll_ready(&PATIENCE)) {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(_) => AcmeFault::refused("the proof did not convince the authority"),
            Err(error) => AcmeFault::of(&error, "the proof"),
        };
        if fault.failure != Failure::Refused {
            return Err(fault);
        }
        let why = flaw(order).await.unwrap_or(fault.why);
        Err(AcmeFault::refused(why))
    }

    async fn prove_one(
        &self,
        name: &str,
        mut authorization: AuthorizationHandle<'_>,
        prover: &impl AcmeProver,
        shown: &mut Vec<AcmeProof>,
    ) -> Result<(), AcmeFault> {
        match authorization.status {
            // One that was given before counts on, and lists no challenge but the one that was met.
            AuthorizationStatus::Valid => return Ok(()),
            AuthorizationStatus::Pending => {}
            other => {
                let why = format!("the authority's authorisation is {other:?} from the start");
                return Err(AcmeFault::refused(why));
            }
        }
        // What the authority says goes to pages and programs of ours: it is what was asked for, or
        // nothing is done with it.
        let name = name.strip_prefix("*.").unwrap_or(name);
        let asked = authorization.identifier();
        if !matches!(asked.identifier, Identifier::Dns(asked) if asked.eq_ignore_ascii_case(name)) {
            let why = format!(
                "the authority wants another name than {name} proven: {}",
                told(&asked.to_string())
            );
            return Err(AcmeFault::refused(why));
        }
        let kind = self.settings.challenge;
        let Some(mut challenge) = authorization.challenge(challenge_type(kind)) else {
            let why = format!("the authority does not take {} for {name}", kind.as_str());
            return Err(AcmeFault::refused(why));
        };
        if !is_token(&challenge.token) {
            let why = "the authority gave a token that is none".to_owned();
            return Err(AcmeFault::refused(why));
        }
        let authorized = challenge.key_authorization();
        let proof = match kind {
            AcmeChallenge::Http => AcmeProof::Http {
                token: challenge.token.clone(),
                text: authorized.as_str().to_owned(),
            },
            AcmeChallenge::TlsAlpn => AcmeProof::TlsAlpn {
                name: name.to_owned(),
                digest: authorized.digest().as_ref().to_vec(),
            },
            AcmeChallenge::Dns => AcmeProof::Dns {
                record: format!("_acme-challenge.{name}"),
                text: authorized.dns_value(),
            },
        };
        // What was begun and failed is withdrawn as well.
        shown.push(proof.clone());
        prover.show(&proof).await.map_err(AcmeFault::refused)?;
        again!(challenge.set_ready()).map_err(|error| AcmeFault::of(&error, "the proof"))
    }
}

/// Reads all authorisations, so that they can be gone through without a question.
async fn fetch(order: &mut Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}

/// Waits until the authority has signed, and reads the chain; where only that failed, nothing else is
/// done again.
async fn chain(order: &mut Order) -> Result<String, Error> {
    if order.state().status == OrderStatus::Valid {
        let chain = order.certificate().await?;
        return chain.ok_or(Error::Str("the certificate"));
    }
    order.poll_certificate(&PATIENCE).await
}

/// Why a proof did not convince, as the authority says of each challenge.
async fn flaw(order: &mut Order) -> Option<String> {
    let mut whys = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if again!(authorization.refresh()).is_err() {
            continue;
        }
        let errors = authorization
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        whys.extend(errors.map(|problem| told(&said(problem))));
    }
    (!whys.is_empty()).then(|| whys.join("; "))
}

/// RFC 8555 section 8.3: "It MUST NOT contain any characters outside the base64url alphabet".
fn is_token(token: &str) -> bool {
    let is_of_alphabet = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    (1..=TOKEN_OCTETS_MAX).contains(&token.len()) && token.bytes().all(is_of_alphabet)
}

fn challenge_type(kind: AcmeChallenge) -> ChallengeType {
    match kind {
        AcmeChallenge::Http => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn => ChallengeType::TlsAlpn01,
        AcmeChallenge::Dns => ChallengeType::Dns01,
    }
}

/// Never another kind of certificate than the one that was asked for: authorities that know no
/// profiles pass over the wish.
fn check_profile<'a>(
    settings: &Acme,
    offered: impl Iterator<Item = &'a str>,
) -> Result<(), String> {
    let Some(wanted) = &settings.profile else {
        return Ok(());
    };
    let offered: Vec<&str> = offered.collect();
    if offered.iter().any(|name| name == wanted) {
        return Ok(());
    }
    let offered = match &*offered {
        [] => "none".to_owned(),
        some => told(&some.join(", ")),
    };
    Err(format!(
        "the directory has no profile `{wanted}` (tls.acme.profile); it offers {offered}"
    ))
}

fn window(info: &RenewalInfo) -> Option<Window> {
    let moment = |seconds: i64| {
        let seconds = u64::try_from(seconds).ok()?;
        Some(Timestamp::from_millis(seconds.checked_mul(1000)?))
    };
    let suggested = &info.suggested_window;
    Window::new(
        moment(suggested.start.unix_timestamp())?,
        moment(suggested.end.unix_timestamp())?,
    )
}

fn has_type(error: &Error, kind: &str) -> bool {
    matches!(error, Error::Api(problem) if is_of_type(problem, kind))
}

fn is_of_type(problem: &Problem, kind: &str) -> bool {
    let of = problem.r#type.as_deref();
    of.and_then(|of| of.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

/// What an authority says of a problem.
fn said(problem: &Problem) -> String {
    let kind = problem
        .r#type
        .as_deref()
        .and_then(|kind| kind.rsplit(':').next());
    let mut text = problem.detail.clone().unwrap_or_default();
    for part in &problem.subproblems {
        text.push_str("; ");
        text.push_str(part.detail.as_deref().unwrap_or_default());
    }
    match kind {
        Some(kind) if text.is_empty() => kind.to_owned(),
        Some(kind) => format!("{text} ({kind})"),
        None => text,
    }
}

/// One line of bounded length.
fn told(text: &str) -> String {
    let text: String = text.chars().take(WORDS_MAX).collect();
    mail::escaped(&text).to_string()
}

/// What we read of a directory ourselves (RFC 8555 section 7.1.1).
#[derive(Deserialize)]
struct Directory {
    /// No directory is without it.
    #[serde(rename = "newNonce")]
    new_nonce: String,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    profiles: std::collections::BTreeMap<String, serde_json::Value>,
}

/// Our HTTPS, as the library asks for it.
struct Http(Https);

impl HttpClient for Http {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let https = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let request = Request::from_parts(parts, body.to_bytes());
            let answer = https.call(request, COST).await;
            let mut answer = answer.map_err(|why| Error::Other(why.into()))?;
            // The library would end here, by an assertion.
            if let Ok(directory) = serde_json::from_slice::<Directory>(answer.body()) {
                is_url(&directory.new_nonce).map_err(|why| Error::Other(why.into()))?;
            }
            shorten(answer.headers_mut());
            if let Some(limit) = Limit::of(&answer, SystemTime::now()) {
                return Err(Error::Other(Box::new(limit)));
            }
            Ok(BytesResponse::from(answer.map(Full::new)))
        })
    }
}

/// The authority has had enough of us, and says until when. The library hands on the problem and drops
/// the header that says so.
#[derive(Debug, PartialEq, Eq)]
struct Limit {
    wait: Duration,
    /// The authority's.
    words: String,
}

impl Limit {
    /// RFC 8555 section 6.6: "the server MUST return an error of type
    /// \"urn:ietf:params:acme:error:rateLimited\". Additionally, the server SHOULD send a Retry-After
    /// header field". Without that field it is a problem as others are.
    fn of(answer: &Response<Bytes>, now: SystemTime) -> Option<Self> {
        if answer.status().is_success() {
            return None;
        }
        let problem: Problem = serde_json::from_slice(answer.body()).ok()?;
        if !is_of_type(&problem, "rateLimited") {
            return None;
        }
        Some(Self {
            wait: retry_after(answer.headers(), now)?.min(RETRY_AFTER_MAX),
            words: said(&problem),
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl error::Error for Limit {}

fn limit(error: &Error) -> Option<&Limit> {
    match error {
        Error::Other(other) => other.downcast_ref(),
        _ => None,
    }
}

/// How long that is from now: seconds or a date (RFC 9110 section 10.2.3). A date that has passed is
/// no time at all.
fn retry_after(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = fields.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

fn is_url(text: &str) -> Result<(), String> {
    let parsed: Result<Uri, _> = text.parse();
    parsed
        .map(drop)
        .map_err(|_| format!("{} is no URL", told(text)))
}

/// Has nobody wait longer than [`RETRY_AFTER_MAX`]; what is no number is a date, and as good.
fn shorten(fields: &mut HeaderMap) {
    let most = RETRY_AFTER_MAX.as_secs();
    let asked = fields
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    // The library takes a sign for part of a number, as the standard library does.
    let asked: Option<u64> = asked.and_then(|asked| asked.trim().parse().ok());
    if asked.is_some_and(|asked| asked > most) {
        fields.insert(RETRY_AFTER, most.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody waits longer than is sensible, whatever is asked.
    #[test]
    fn patience_has_an_end() {
        let most = RETRY_AFTER_MAX.as_secs().to_string();
        let date = "Fri, 31 Dec 1999 23:59:59 GMT";
        for (asked, is) in [
            ("0", "0"),
            (&*most, &*most),
            ("86400000", &*most),
            (" +86400000 ", &*most),
            (date, date),
        ] {
            let mut fields = HeaderMap::new();
            fields.insert(RETRY_AFTER, asked.parse().unwrap());
            shorten(&mut fields);
            assert_eq!(fields[RETRY_AFTER], is, "{asked}");
        }
        let mut none = HeaderMap::new();
        shorten(&mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn a_limit_says_until_when_in_seconds_or_by_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:00:00 GMT").unwrap();
        let answer = |status: u16, kind: &str, retry: Option<&str>| {
            let body = format!(
                r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"too many","status":{status}}}"#
            );
            let mut answer = Response::new(Bytes::from(body));
            *answer.status_mut() = status.try_into().unwrap();
            if let Some(retry) = retry {
                answer
                    .headers_mut()
                    .insert(RETRY_AFTER, retry.parse().unwrap());
            }
            Limit::of(&answer, now).map(|limit| (limit.wait.as_secs(), limit.words))
        };
        let most = RETRY_AFTER_MAX.as_secs();
        for (retry, wait) in [
            ("3600", 3600),
            (" 60 ", 60),
            ("0", 0),
            ("86400000", most),
            ("Fri, 31 Dec 1999 23:30:00 GMT", 1800),
            ("Fri, 31 Dec 1999 22:00:00 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", most),
        ] {
            let said = "too many (rateLimited)".to_owned();
            let limited = answer(429, "rateLimited", Some(retry));
            assert_eq!(limited, Some((wait, said)), "{retry}");
        }
        assert!(answer(503, "rateLimited", Some("60")).is_some());
        assert_eq!(answer(429, "rateLimited", None), None);
        assert_eq!(answer(429, "rateLimited", Some("soon")), None);
        assert_eq!(answer(403, "unauthorized", Some("60")), None);
        assert_eq!(answer(200, "rateLimited", Some("60")), None);
    }
}
