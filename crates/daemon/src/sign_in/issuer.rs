//! Signing in at the console by an issuer that vouches for people there.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use admission::REFUSAL_AFTER;
use config::Oidc;
use engine::{conclude, is_refused_unheard};
use lookups::{Brought, IdentityProvider, NotVouched, Resolver};
use sign_in::{
    ConsoleRole, Found, Identities, Identity, IdentityRules, Reason, Sources, Step, TokenFault,
    TokenRules, Why,
};
use tokio::time::{sleep, sleep_until};

use super::{SignInService, SignInSettings};
use crate::clock;
use crate::console_flows::Flow;

/// Begins the stamp of whoever an issuer vouched for.
const STAMP: &str = "issuer";

/// An issuer, as the configuration names it.
pub(crate) struct ConsoleIssuer {
    pub(crate) provider: IdentityProvider,
    identities: Identities,
    /// Of all that the configuration says of it: who came in by other words has to come again.
    digest: String,
    pub(crate) settings: Oidc,
}

/// Somebody for whom the issuer vouches, and who has a role.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) name: String,
    pub(crate) role: ConsoleRole,
    pub(crate) stamp: String,
}

/// Why somebody does not come in.
#[derive(Debug)]
pub(crate) enum Unvouched {
    /// Nobody can tell now.
    Away(String),
    /// To be told, and counted by the guard.
    Refused(String),
    /// The same of somebody for whom the issuer vouches, and who may do nothing here: his name, and
    /// what would change that.
    NoRole(String, String),
    /// To be told, and no more: whoever asks so has tried nothing, and may ask for ever.
    NotBegun(&'static str),
}

impl Unvouched {
    /// What is written down: whose name, where that is sure, and why.
    pub(crate) fn noted(&self) -> Option<(Option<&str>, &str)> {
        match self {
            Self::Refused(why) => Some((None, why)),
            Self::NoRole(name, _) => Some((Some(name), "no role at the console")),
            Self::Away(_) | Self::NotBegun(_) => None,
        }
    }
}

impl fmt::Display for Unvouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Refused(why) => f.write_str(why),
            Self::NoRole(name, how) => write!(f, "{name} has no role at the console: {how}"),
            Self::NotBegun(why) => f.write_str(why),
        }
    }
}

impl From<NotVouched> for Unvouched {
    fn from(why: NotVouched) -> Self {
        match why {
            NotVouched::Away(_) => Self::Away(why.to_string()),
            NotVouched::Refused(_) => Self::Refused(why.to_string()),
        }
    }
}

impl ConsoleIssuer {
    /// # Errors
    /// The issuer cannot be used as configured.
    pub(crate) fn new(settings: &Oidc, resolver: &Arc<Resolver>) -> Result<Self, String> {
        let [admin, operator, viewer] = settings.roles.clone();
        let roles = [
            (ConsoleRole::Admin, admin),
            (ConsoleRole::Operator, operator),
            (ConsoleRole::Viewer, viewer),
        ];
        let identities = Identities::new(IdentityRules {
            tokens: TokenRules {
                issuer: settings.issuer.clone(),
                audience: settings.client_id.clone(),
                algorithms: settings.algorithms.clone(),
                user_claim: settings.user_claim.clone(),
                strangers_may_relay: false,
                place: settings.place.clone(),
            },
            role_claim: settings.role_claim.clone(),
            roles: roles.into_iter().filter(|(_, of)| !of.is_empty()).collect(),
        })?;
        // Where it is written says nothing of what it is.
        let words = Oidc {
            place: mail::Place::Default,
            ..settings.clone()
        };
        let digest = config::hash(format!("{words:?}").as_bytes());
        Ok(Self {
            provider: IdentityProvider::new(settings, Arc::clone(resolver))?,
            identities,
            digest,
            settings: settings.clone(),
        })
    }

    /// The host of the issuer, by which people know it.
    pub(crate) fn name(&self) -> &str {
        let rest = self.settings.issuer.split_once("://");
        let rest = rest.map_or(&*self.settings.issuer, |(_, rest)| rest);
        rest.split(['/', ':', '?']).next().unwrap_or(rest)
    }

    /// What somebody may do now who came in with this stamp; none: nothing any more. Another one's
    /// stamp is not looked at. May block.
    ///
    /// # Errors
    /// Nobody can tell now.
    pub(crate) fn still(
        &self,
        sources: &Sources,
        name: &str,
        stamp: &str,
    ) -> Result<Option<Vouched>, Unvouched> {
        let given = stamp
            .strip_prefix(&self.stamp(""))
            .and_then(ConsoleRole::parse);
        let identity = Identity {
            name: name.to_owned(),
            role: given,
        };
        let vouched = self.with_role(sources, identity)?;
        Ok(vouched.filter(|vouched| vouched.stamp == stamp))
    }

    /// Somebody with what he may do, by the issuer's word or the users file's; whom that file shuts
    /// out stays out.
    fn with_role(
        &self,
        sources: &Sources,
        identity: Identity,
    ) -> Result<Option<Vouched>, Unvouched> {
        let Identity { name, role } = identity;
        let found = sources.find(&name);
        let found = found.map_err(|why| Unvouched::Away(why.to_string()))?;
        let (role, rest) = match (self.identities.give_roles(), found) {
            (_, Found::Barred) | (false, Found::Nobody) => return Ok(None),
            (true, Found::User(_) | Found::Nobody) => (role, None),
            (false, Found::User(account)) => {
                let role = sources.console(&account).map(|(role, _)| role);
                (role, Some(sources.stamp(&account.name)))
            }
        };
        Ok(role.map(|role| Vouched {
            stamp: self.stamp(rest.as_deref().unwrap_or(role.as_str())),
            name,
            role,
        }))
    }

    fn stamp(&self, rest: &str) -> String {
        format!("{STAMP} {} {rest}", self.digest)
    }

    /// Whom the issuer's token for a code names.
    async fn identity(
        &self,
        flow: &Flow,
        brought: Brought<'_>,
    ) -> Result<Identity, (Unvouched, Reason)> {
        let failed = |why: NotVouched| (why.into(), Reason::Malformed);
        let token = self.provider.token(brought).await.map_err(failed)?;
        let mut found = Err(TokenFault::UnknownKey);
        // The issuer may have a new key.
        for anew in [false, true] {
            let keys = self.provider.keys(anew).await.map_err(failed)?;
            let ready = self.identities.with_keys(&keys);
            let ready = ready.map_err(|why| (Unvouched::Away(why), Reason::Malformed))?;
            found = ready.identity(&token, &flow.nonce, clock::now());
            if found != Err(TokenFault::UnknownKey) {
                break;
            }
        }
        found.map_err(|fault| {
            let why = format!("the issuer does not vouch: {fault}");
            (Unvouched::Refused(why), Reason::Token(fault))
        })
    }
}

/// Whether a stamp is of somebody for whom an issuer vouched, this one or another.
pub(crate) fn is_by_issuer(stamp: &str) -> bool {
    stamp.split(' ').next() == Some(STAMP)
}

impl SignInService {
    /// Signs somebody in who was led back from the issuer, from the browser at `client`. Failures
    /// count against the client as those of passwords do; codes are nothing that can be guessed, so
    /// who is refused is told why.
    pub(crate) async fn by_issuer(
        &self,
        settings: &SignInSettings,
        issuer: &Arc<ConsoleIssuer>,
        client: IpAddr,
        flow: &Flow,
        brought: Brought<'_>,
    ) -> Result<Vouched, Unvouched> {
        let heard = tokio::time::Instant::now();
        if self.with(|guard, now| is_refused_unheard(guard, client, now)) {
            sleep_until(heard + REFUSAL_AFTER).await;
            let why = "too many failures from there: try again later".to_owned();
            return Err(Unvouched::Refused(why));
        }
        let judged = self.judged(settings, issuer, flow, brought).await;
        let (trouble, step) = match judged {
            Ok(vouched) => return Ok(vouched),
            Err((Unvouched::Away(why), _)) => return Err(Unvouched::Away(why)),
            Err((trouble, why)) => (trouble, Step::Refused(why)),
        };
        let concluded = self.with(|guard, now| conclude(guard, client, step, now));
        if let engine::SignInResult::Refused { delay, .. } = concluded {
            sleep(delay).await;
        }
        sleep_until(heard + REFUSAL_AFTER).await;
        Err(trouble)
    }

    async fn judged(
        &self,
        settings: &SignInSettings,
        issuer: &Arc<ConsoleIssuer>,
        flow: &Flow,
        brought: Brought<'_>,
    ) -> Result<Vouched, (Unvouched, Why)> {
        let nameless = |reason| Why {
            user: None,
            known_as: None,
            reason,
        };
        let identity = issuer.identity(flow, brought).await;
        let identity = identity.map_err(|(trouble, reason)| (trouble, nameless(reason)))?;
        let name = identity.name.clone();
        let (asked, sources) = (Arc::clone(issuer), Arc::clone(&settings.sources));
        // A directory may have to be asked.
        let work = move || asked.with_role(&sources, identity);
        let vouched = tokio::task::spawn_blocking(work).await;
        let vouched = vouched.unwrap_or_else(|fault| Err(Unvouched::Away(fault.to_string())));
        let vouched = vouched.map_err(|trouble| (trouble, nameless(Reason::Malformed)))?;
        vouched.ok_or_else(|| {
            let how = match issuer.identities.give_roles() {
                true => format!("nothing in {} gives one", issuer.settings.role_claim),
                false => format!("gatepost user role {name} viewer"),
            };
            (
                Unvouched::NoRole(name.clone(), how),
                Why::known_as(&name, &name, Reason::NoRole),
            )
        })
    }
}
