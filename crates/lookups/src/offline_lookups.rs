//! Answers what operators ask, without a running relay: for `relay check`, `route show`, `test dns`
//! and `test delivery`.

use std::sync::Arc;

use config::Config;
use engine::Setup;
use tls::Connector;
use tokio::runtime::Runtime;

use crate::answers::Answers;
use crate::inquiries::Inquiries;
use crate::resolvers::Resolvers;

/// Asks as a relay of a configuration would, while nobody runs one.
pub struct OfflineLookups {
    runtime: Runtime,
    inquiries: Inquiries,
}

impl OfflineLookups {
    /// Reads what the configuration of `setup` names for that.
    ///
    /// # Errors
    /// What cannot be read, or why nobody can be asked.
    pub fn new(setup: Setup) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| format!("nobody can be asked: {error}"))?;
        let _within = runtime.enter();
        let (answers, connector) = answers(&setup.config)?;
        drop(_within);
        Ok(Self {
            runtime,
            inquiries: Inquiries::new(Arc::new(setup), connector, Arc::new(answers), None),
        })
    }

    /// Whom to ask.
    pub fn inquiries(&self) -> &Inquiries {
        &self.inquiries
    }

    /// Waits for what is asked.
    pub fn run<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }
}

/// Reads what answers are made of; must be called within the runtime.
fn answers(config: &Config) -> Result<(Answers, Arc<Connector>), String> {
    let resolvers = Resolvers::of(config, None)?;
    let lines = |wrong: Vec<tls::TlsProblem>| {
        let lines: Vec<String> = wrong.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let connector = Connector::configured(config).map_err(lines)?;
    let connector = Arc::new(connector);
    let answers = Answers::new(config, resolvers, Arc::clone(&connector));
    let answers = answers.map_err(|wrong| wrong.join("\n"))?;
    Ok((answers, connector))
}
