//! Answers what decisions ask, without a running relay: for `relay check` and `route show`.

use std::sync::Arc;

use config::Config;
use mail::Mailbox;
use relay_policy::{Answer, Question, Rules};
use route::{Plan, Site, TlsDemand};
use sign_in::{Account, Found, prepare_name};
use tls::Connector;
use tokio::runtime::Runtime;

use crate::answers::Answers;
use crate::purpose::Purpose;
use crate::resolvers::Resolvers;
use crate::users::UserSources;
use crate::way;

/// Asks DNS, directories and next hops as a relay of this configuration would.
pub struct OfflineLookups {
    runtime: Runtime,
    config: Config,
    answers: Answers,
}

impl OfflineLookups {
    /// Reads what `config` names for that.
    ///
    /// # Errors
    /// What cannot be read, or why nobody can be asked.
    pub fn new(config: Config) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| format!("nobody can be asked: {error}"))?;
        let _within = runtime.enter();
        let answers = answers(&config)?;
        drop(_within);
        Ok(Self {
            runtime,
            config,
            answers,
        })
    }

    /// The configuration that these look-ups were made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Finds out what a decision by `rules` asks.
    pub fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        let answer = self.answers.find_out(&self.config, rules, question);
        self.runtime.block_on(answer)
    }

    /// How much encryption mail for `recipient` demands at `site`, and what is known about the way
    /// there.
    pub fn way(&self, site: &Site, recipient: &Mailbox) -> (TlsDemand, Plan) {
        let demand = way::demand(&self.config, site, recipient);
        let routes = &self.config.routes;
        let plan = way::plan(self.answers.resolvers(), routes, site, demand);
        (demand, self.runtime.block_on(plan))
    }

    /// Who the user of this name is, and what it may do, once signed in; `None`: there is no such
    /// user.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn user(&self, user: &str) -> Result<Option<Account>, String> {
        let _within = self.runtime.enter();
        let users = UserSources::read(&self.config, &self.answers, Purpose::Look)
            .map_err(|problems| problems.join("\n"))?;
        let Some(name) = prepare_name(user) else {
            return Ok(None);
        };
        match users.sources.find(&name).map_err(|why| why.why)? {
            Found::User(account) => Ok(Some(account)),
            Found::Barred | Found::Nobody => Ok(None),
        }
    }
}

/// Reads what answers are made of; must be called within the runtime.
fn answers(config: &Config) -> Result<Answers, String> {
    let resolvers = Resolvers::of(config, None)?;
    let lines = |wrong: Vec<tls::TlsProblem>| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let connector = Connector::configured(config).map_err(lines)?;
    Answers::new(config, resolvers, Arc::new(connector)).map_err(|wrong| wrong.join("\n"))
}
