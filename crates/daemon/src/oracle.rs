//! Answers what decisions ask, without a running relay: for `relay check`.

use std::sync::Arc;

use config::Config;
use relay_policy::{Answer, Question, Rights, Rules};
use sign_in::prepare_name;
use tokio::runtime::Runtime;

use crate::force::{Answers, door};

/// Asks DNS, directories and next hops as a relay of this configuration would.
pub struct Oracle {
    runtime: Runtime,
    config: Config,
    answers: Answers,
}

impl Oracle {
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

    /// What the user of this name may do, once signed in; `None`: there is no such user.
    ///
    /// # Errors
    /// Nobody can tell; why.
    pub fn rights(&self, user: &str) -> Result<Option<Arc<Rights>>, String> {
        let _within = self.runtime.enter();
        let (door, _) =
            door(&self.config, &self.answers).map_err(|problems| problems.join("\n"))?;
        let Some(name) = prepare_name(user) else {
            return Ok(None);
        };
        let account = door.sources.find(&name).map_err(|why| why.why)?;
        Ok(account.map(|account| account.rights))
    }
}
