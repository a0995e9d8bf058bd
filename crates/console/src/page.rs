//! How a page becomes an answer: within the frame that all have, or as a stream of what changes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Form;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use futures_util::stream;

use crate::assets;
use crate::cx::{Cx, Fields, Shared, Theme};
use crate::sessions::{Role, Visitor};
use crate::standing::is_still;
use crate::trouble::Trouble;

/// A page that is looked at is made anew so often.
const LIVE_EVERY: Duration = Duration::from_secs(2);
/// It rests for so many times as long as it took to make.
const REST: u32 = 10;
/// But no longer than this.
const REST_MAX: Duration = Duration::from_secs(60);

/// The parts of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Tracking,
    Queues,
    Sessions,
    Quarantine,
    Devices,
    Diagnose,
    Configuration,
    Logs,
    Audit,
    Other,
}

/// The places of the main menu: section, path, word, and the key behind `g`.
const MENU: [(Section, &str, &str, &str); 10] = [
    (Section::Overview, "/", "Overview", "o"),
    (Section::Tracking, "/tracking", "Tracking", "t"),
    (Section::Queues, "/queues", "Queues", "q"),
    (Section::Sessions, "/sessions", "Sessions", "s"),
    (Section::Quarantine, "/quarantine", "Quarantine", "h"),
    (Section::Devices, "/devices", "Devices", "v"),
    (Section::Diagnose, "/diagnose", "Diagnose", "d"),
    (
        Section::Configuration,
        "/configuration",
        "Configuration",
        "c",
    ),
    (Section::Logs, "/logs", "Log", "l"),
    (Section::Audit, "/audit", "Audit", "a"),
];

/// What is particular about a page.
pub(crate) struct Page {
    pub(crate) section: Section,
    pub(crate) title: String,
    /// What stands within the frame, as HTML.
    pub(crate) main: String,
    /// Whether it is made anew while somebody looks at it.
    pub(crate) is_live: bool,
    pub(crate) status: StatusCode,
}

impl Page {
    /// A page that stays as it is, made from a template.
    ///
    /// # Errors
    /// The template could not be filled in.
    pub(crate) fn still(
        section: Section,
        title: impl Into<String>,
        main: &impl Template,
    ) -> Result<Self, Trouble> {
        Ok(Self {
            section,
            title: title.into(),
            // An event of a stream holds no CR.
            main: main.render().map_err(Trouble::ours)?.replace('\r', ""),
            is_live: false,
            status: StatusCode::OK,
        })
    }

    /// A page that is made anew while somebody looks at it.
    ///
    /// # Errors
    /// The template could not be filled in.
    pub(crate) fn live(
        section: Section,
        title: impl Into<String>,
        main: &impl Template,
    ) -> Result<Self, Trouble> {
        let still = Self::still(section, title, main)?;
        Ok(Self {
            is_live: true,
            ..still
        })
    }
}

#[derive(Template)]
#[template(path = "frame.html")]
struct Frame<'a> {
    page: &'a Page,
    host: &'a str,
    visitor: &'a Visitor,
    theme: &'static str,
    themes: Vec<&'static str>,
    version: &'static str,
    address: &'a str,
    search: &'a str,
    menu: &'a [(Section, &'static str, &'static str, &'static str)],
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct TroublePage<'a> {
    heading: &'a str,
    why: &'a str,
}

/// Within the frame.
pub(crate) fn framed(cx: &Cx, page: Result<Page, Trouble>) -> Response {
    let page = page.or_else(|trouble| troubled(&trouble));
    let framed = page.and_then(|page| {
        let frame = Frame {
            page: &page,
            host: &cx.shared.settings.hostname,
            visitor: &cx.visitor,
            theme: cx.theme.as_str(),
            themes: Theme::ALL.map(Theme::as_str).to_vec(),
            version: assets::version(),
            address: &cx.address,
            search: match page.section {
                Section::Tracking => cx.query.get("filter"),
                _ => "",
            },
            menu: &MENU,
        };
        Ok((page.status, Html(frame.render().map_err(Trouble::ours)?)))
    });
    framed.into_response()
}

fn troubled(trouble: &Trouble) -> Result<Page, Trouble> {
    let page = TroublePage {
        heading: trouble.heading(),
        why: &trouble.why,
    };
    let page = Page::still(Section::Other, trouble.heading(), &page)?;
    Ok(Page {
        status: trouble.status,
        ..page
    })
}

impl IntoResponse for Trouble {
    /// Plainly: where there is no page to say it on.
    fn into_response(self) -> Response {
        (self.status, format!("{}: {}\n", self.heading(), self.why)).into_response()
    }
}

/// What comes of a page at some time.
type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The handler of a page: the page itself, or the stream of what changes on it.
pub(crate) fn show<F, M>(make: F) -> impl Fn(Cx) -> Answer + Clone + Send + Sync + 'static
where
    F: Fn(Cx) -> M + Clone + Send + Sync + 'static,
    M: Future<Output = Result<Page, Trouble>> + Send + 'static,
{
    move |cx: Cx| {
        let make = make.clone();
        Box::pin(async move {
            if cx.wants_stream {
                return streamed(cx, make);
            }
            let page = make(cx.clone()).await;
            framed(&cx, page)
        })
    }
}

/// What a page holds whenever that changes, until its visitor is gone or signed out.
fn streamed<F, M>(cx: Cx, make: F) -> Response
where
    F: Fn(Cx) -> M + Send + Sync + 'static,
    M: Future<Output = Result<Page, Trouble>> + Send + 'static,
{
    let Ok(place) = Arc::clone(&cx.shared.streams).try_acquire_owned() else {
        let why = "Too many pages are live at this time: this one stays as it is.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let events = stream::unfold(Some(Live::new(cx, make)), move |live| {
        let _held = &place;
        async move { live?.next().await }
    });
    let events = futures_util::StreamExt::map(events, Ok::<_, Infallible>);
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// A page that is looked at.
struct Live<F> {
    cx: Cx,
    make: F,
    /// What its visitor sees.
    last: String,
    rest: Duration,
}

impl<F, M> Live<F>
where
    F: Fn(Cx) -> M,
    M: Future<Output = Result<Page, Trouble>>,
{
    fn new(cx: Cx, make: F) -> Self {
        Self {
            cx,
            make,
            last: String::new(),
            rest: LIVE_EVERY,
        }
    }

    /// What its visitor is told next; then none to go on with where he is no longer signed in.
    async fn next(mut self) -> Option<(Event, Option<Self>)> {
        daemon::pause(self.rest).await;
        let page = match self.visitor().await {
            Ok(None) => return Some((Event::default().event("signed-out").data("-"), None)),
            Ok(Some(visitor)) => self.page(visitor).await,
            Err(trouble) => Err(trouble),
        };
        let event = match page {
            Ok(page) if page.main == self.last => Event::default().comment("same"),
            Ok(page) => {
                self.last = page.main;
                Event::default().event("main").data(&self.last)
            }
            Err(trouble) => {
                let why = trouble.why.replace(['\r', '\n'], " ");
                Event::default().event("trouble").data(why)
            }
        };
        Some((event, Some(self)))
    }

    /// Who looks, as long as he is signed in. Looking is no use of the session.
    async fn visitor(&self) -> Result<Option<Visitor>, Trouble> {
        let Cx { shared, cookie, .. } = &self.cx;
        match shared.sessions.find(cookie, daemon::since_start(), false) {
            Some(visitor) => is_still(shared, visitor).await,
            None => Ok(None),
        }
    }

    /// The page as it is now. Mail comes first: few are made at one time, and one that takes long is
    /// made as much more rarely.
    async fn page(&mut self, visitor: Visitor) -> Result<Page, Trouble> {
        let shared = Arc::clone(&self.cx.shared);
        let _turn = shared.turns.acquire().await.map_err(Trouble::ours)?;
        let began = daemon::since_start();
        let cx = Cx {
            visitor,
            ..self.cx.clone()
        };
        let page = (self.make)(cx).await;
        self.rest = rest(daemon::since_start().saturating_sub(began));
        page
    }
}

/// How long a live page rests that took so long to make.
fn rest(took: Duration) -> Duration {
    (took * REST).clamp(LIVE_EVERY, REST_MAX)
}

/// A form that was sent from a page made for this visitor.
pub(crate) struct Posted {
    pub(crate) fields: Fields,
}

impl FromRequest<Arc<Shared>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let visitor = request.extensions().get::<Visitor>().cloned();
        let form = Form::<Vec<(String, String)>>::from_request(request, shared).await;
        let Form(fields) = form.map_err(IntoResponse::into_response)?;
        let fields = Fields(fields);
        let is_his = visitor.is_some_and(|visitor| visitor.token == fields.get("form"));
        if is_his {
            return Ok(Self { fields });
        }
        let why = "This form belongs to a session that has ended. Go back, load the page anew, and send it again.";
        Err(Trouble::new(StatusCode::FORBIDDEN, why).into_response())
    }
}

/// What the visitor must not see as a link.
pub(crate) fn may_act(cx: &Cx) -> bool {
    cx.may(Role::Operator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_takes_long_is_made_more_rarely() {
        for (took, expected) in [(0, 2_000), (150, 2_000), (1_500, 15_000), (90_000, 60_000)] {
            let rest = rest(Duration::from_millis(took));
            assert_eq!(rest, Duration::from_millis(expected), "{took}");
        }
        assert_eq!(rest(Duration::MAX / REST), REST_MAX);
    }
}
