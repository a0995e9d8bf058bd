//! Answers what decisions ask, without a running relay: for `relay check`.

use config::Config;
use relay_policy::{Answer, Question, Rules};
use sign_in::{Account, Found, prepare_name};
use tokio::runtime::Runtime;

use crate::active::{Answers, Purpose, sign_in_settings};

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
        let answers = Answers::new(&config, None)?;
        drop(_within);
        Ok(Self {
            runtime,
            config,
            answers,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Finds out what a decision by `rules` asks.
    pub fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        let answer = self.answers.find_out(&self.config, rules, question);
        self.runtime.block_on(answer)
    }

    /// Who the user of this name is, and what it may do, once signed in; `None`: there is no such
    /// user.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn user(&self, user: &str) -> Result<Option<Account>, String> {
        let _within = self.runtime.enter();
        let (sign_in_settings, _) = sign_in_settings(&self.config, &self.answers, Purpose::Look)
            .map_err(|problems| problems.join("\n"))?;
        let Some(name) = prepare_name(user) else {
            return Ok(None);
        };
        match sign_in_settings
            .sources
            .find(&name)
            .map_err(|why| why.why)?
        {
            Found::User(account) => Ok(Some(account)),
            Found::Barred | Found::Nobody => Ok(None),
        }
    }
}
