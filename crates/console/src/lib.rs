//! The web console: pages for people, made by the server, over the HTTP API of the control socket
//! and nothing else.
//!
//! Each page is a function from a `cx::Cx` (who asks, for what) to a `page::Page`. The same
//! function feeds the live stream of its page: it is called again and again, and what has changed is
//! sent. What changes something is an *act* (`acts`): it is shown with count and sample before it
//! is done. Who may see a page at all is decided in one place (`guard`).

mod acts;
mod api;
mod assets;
mod chart;
mod cx;
mod examination;
mod guard;
mod links;
mod page;
mod pages;
mod sessions;
mod settings;
mod sign_in;
mod standing;
mod trials;
mod trouble;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use daemon::ControlApi;
use daemon::api::{ConsoleLink, ConsoleLinkWanted};

use crate::api::Api;
use crate::cx::{Common, Shared};
use crate::page::show;
use crate::pages::configuration;

pub use crate::links::links;
pub use crate::settings::{Lifetimes, Settings};

/// The console of a relay, at all its addresses: who signs in at one is signed in at the others.
pub struct Console(Arc<Common>);

impl Console {
    /// That of a relay whose API is `api`.
    pub fn new(api: ControlApi, lifetimes: Lifetimes) -> Self {
        Self(Arc::new(Common::new(api, lifetimes)))
    }

    /// What is served at one address.
    pub fn router(&self, settings: Settings) -> Router {
        router(Arc::new(Shared::new(Arc::clone(&self.0), settings)))
    }
}

/// The pages about the configuration.
fn with_configuration(router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    router
        .route("/configuration", get(show(configuration::options)))
        .route("/configuration/change", get(show(configuration::change)))
        .route(
            "/configuration/sections",
            get(show(configuration::sections)),
        )
        .route(
            "/configuration/settings",
            get(show(configuration::settings)),
        )
        .route("/configuration/section", get(show(configuration::section)))
        .route("/configuration/rules", get(show(configuration::rules)))
        .route("/configuration/file", get(show(configuration::file)))
        .route(
            "/configuration/try",
            get(show(configuration::try_edit))
                .post(configuration::try_form)
                .layer(configuration::form_limit()),
        )
        .route(
            "/configuration/apply",
            post(configuration::apply).layer(configuration::form_limit()),
        )
        .route(
            "/configuration/versions",
            get(show(configuration::versions)),
        )
}

fn router(shared: Arc<Shared>) -> Router {
    with_configuration(Router::new())
        .route("/", get(show(pages::overview)))
        .route("/tracking", get(show(pages::tracking)))
        .route("/tracking/download", get(pages::tracking_download))
        .route("/message/{id}", get(show(pages::message)))
        .route("/transcripts/{name}", get(show(pages::transcripts)))
        .route("/queues", get(show(pages::queues)))
        .route("/operations", get(show(pages::operations)))
        .route("/operations/{number}", get(show(pages::operation)))
        .route("/sessions", get(show(pages::sessions)))
        .route("/quarantine", get(show(pages::quarantine)))
        .route("/quarantine/{id}", get(show(pages::held_message)))
        .route("/badmail/{id}", get(show(pages::badmail)))
        .route(
            "/diagnose",
            get(show(pages::check)).post(pages::check_message),
        )
        .route(
            "/diagnose/proof",
            get(show(pages::proof)).post(pages::prove),
        )
        .route(
            "/diagnose/delivery",
            get(show(pages::delivery)).post(pages::try_delivery),
        )
        .route(
            "/diagnose/delivery/{number}",
            get(show(pages::delivery_trial)),
        )
        .route("/diagnose/dns", get(show(pages::dns)))
        .route(
            "/diagnose/send",
            get(show(pages::send)).post(pages::send_test),
        )
        .route(
            "/diagnose/doctor",
            get(show(pages::doctor)).post(pages::examine),
        )
        .route("/devices", get(show(pages::devices)))
        .route("/logs", get(show(pages::logs)))
        .route("/audit", get(show(pages::audit)))
        .route("/act", get(show(acts::confirm)).post(acts::carry_out))
        .route("/help", get(show(pages::help)))
        .route("/api", get(show(pages::api)))
        .route("/api/openapi.json", get(pages::openapi))
        .route(
            "/login",
            get(sign_in::form)
                .post(sign_in::sign_in)
                .layer(DefaultBodyLimit::max(sign_in::FORM_OCTETS_MAX)),
        )
        .route("/login/issuer", get(sign_in::issuer::begin))
        .route("/login/issuer/back", get(sign_in::issuer::end))
        .route("/logout", post(sign_in::sign_out))
        .route("/theme", post(sign_in::theme))
        .route("/assets/{version}/{name}", get(assets::serve))
        .fallback(get(show(pages::nothing)))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&shared),
            guard::watch,
        ))
        .with_state(shared)
}

/// A link that signs somebody in once, as an administrator: for whoever runs the relay in this
/// process, and has said who he is by that.
///
/// # Errors
/// Why there is none, in words.
pub async fn link(api: &ControlApi, by: &str) -> Result<String, String> {
    let wanted = ConsoleLinkWanted { by: by.to_owned() };
    let api = Api::new(api.clone(), by);
    let link = api.post::<ConsoleLink>("/v1/console/links", &wanted).await;
    link.map(|link| link.url).map_err(|trouble| trouble.why)
}
